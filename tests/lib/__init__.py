# SPDX-License-Identifier: Apache-2.0
"""What the tests with real servers are written with: servers, programs, a proxy that misbehaves, load, and the oracle."""
