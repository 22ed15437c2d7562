/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decode: recorded binlog files to JSON, a line a row change, without a server. It is the live stream's own decoder: what it
 * prints is what the producer would publish, and what it refuses would stop the producer.
 *
 *   {"table":"db.t","op":"c|u|d|t","before":{..}|null,"after":{..}|null,"ts":"2026-11-21T01:02:03.456789Z","gtid":"..."|null,
 *    "file":"binlog.000016","pos":N,"idx":N}
 *
 * pos: where the event that holds the row begins. idx: `__idx` of the record, twice the row image's number in its transaction,
 * counted before tables are selected. gtid: null where the log has none.
 */
#ifndef KAKEHI_PRODUCER_DECODE_H
#define KAKEHI_PRODUCER_DECODE_H

#include "common/cli.h"

#define DECODE_USAGE   "[-c FILE] FILE..."
#define DECODE_SUMMARY "print the row changes in recorded binlog files, gzip or not, as JSON; needs no server"

extern const struct cli_option decode_options[];

int decode_run(const struct cli_arguments *arguments);

#endif
