/* SPDX-License-Identifier: Apache-2.0 */
/* version: which build this is, as `git describe` named it; "unknown" outside a checkout. */
#ifndef KAKEHI_COMMON_VERSION_H
#define KAKEHI_COMMON_VERSION_H

const char *version_text(void);

#endif
