/* SPDX-License-Identifier: Apache-2.0 */
/* mysql_probe: which certificate does a server show? Nothing but the TLS handshake happens, no user and no password is sent. */
#ifndef KAKEHI_PRODUCER_MYSQL_PROBE_H
#define KAKEHI_PRODUCER_MYSQL_PROBE_H

#include "common/err.h"
#include "common/settings.h"

#define MYSQL_FINGERPRINT_SIZE 41 /* SHA-1 in hexadecimal: libmariadb 3.3 takes no other */

/* The fingerprint of the certificate of source.host, if its chain leads to source.tls_ca. The name in it is not looked at. Blocks, each
 * step for source.connect_timeout at most. */
int mysql_probe_fingerprint(const struct settings_source *settings, char ret_fingerprint[MYSQL_FINGERPRINT_SIZE], struct err *err) MUST_CHECK;

#endif
