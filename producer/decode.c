/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing that stands behind a fault is printed. Events up to a size are verified before they yield rows; rows of a larger one
 * are held back in a temporary file until its checksum was good, and thrown away if it was not.
 *
 * A log without column names prints c1, c2, ...; what else it does not tell is taken as it most likely is: numbers as signed,
 * texts as UTF-8 (others: base64), ENUM and SET as numbers. The live stream refuses such logs. Whether the server keeps names in lower case no
 * log tells: those in statements are printed as they stand.
 */
#include "producer/decode.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/buffer.h"
#include "common/must.h"
#include "common/settings.h"
#include "producer/binlog/choices.h"
#include "producer/binlog/stream.h"
#include "producer/change_json.h"
#include "schemas/types.h"

#define PIECE_BYTES (256 * 1024)

enum { CONFIG, TYPES };

const struct cli_option decode_options[] = {
    [CONFIG] = {"config", 'c', "FILE", "a settings file: only the tables that it selects are printed (else all are), their values as it chooses"},
    [TYPES] = {"types", 0, NULL, "print how values of each type arrive, as the documentation page has it; no file is read"},
    {0},
};

struct decode {
    const struct settings *settings; /* NULL: all tables */
    struct choices *choices;         /* owned; NULL: none */
    struct binlog_stream *stream;
    struct buffer line;
    FILE *held; /* rows that are not verified yet; NULL: there are none */
    uint8_t piece[PIECE_BYTES];
};

__attribute__((format(printf, 2, 3))) static int complain(int exit_code, const char *format, ...)
{
    va_list list;

    (void)fflush(stdout);
    (void)fputs("kakehi-producer decode: ", stderr);
    va_start(list, format);
    (void)vfprintf(stderr, format, list);
    va_end(list);
    (void)fputc('\n', stderr);
    return exit_code;
}

static bool selected(void *context, const char *database, const char *table)
{
    const struct decode *decode = context;
    char name[TABLE_FULL_NAME_SIZE];

    table_full_name(database, table, name);
    return decode->settings == NULL || settings_selects(&decode->settings->source, name);
}

static bool excluded(void *context, const char *database, const char *table)
{
    const struct decode *decode = context;
    char name[TABLE_FULL_NAME_SIZE];

    table_full_name(database, table, name);
    return decode->settings != NULL && settings_excludes(&decode->settings->source, name);
}

static int append_row(struct decode *decode, struct err *err)
{
    const struct binlog_row *row = binlog_stream_row(decode->stream);
    const struct binlog_transaction *transaction = binlog_stream_transaction(decode->stream);
    const struct table *table = row->table->table;
    struct buffer *out = &decode->line;

    buffer_clear(out);
    change_json_head(out, table, row->op);
    if (change_json_images(out, table, row->before, row->after, err) != 0) {
        return -1;
    }
    change_json_time(out, transaction->commit_ts_us);
    if (transaction->gtid[0] != '\0') {
        change_json_text(out, "gtid", transaction->gtid);
    } else {
        buffer_append_text(out, ",\"gtid\":null");
    }
    change_json_text(out, "file", binlog_stream_file(decode->stream));
    buffer_printf(out, ",\"pos\":%" PRIu64 ",\"idx\":%" PRIu64 "}\n", binlog_stream_event_position(decode->stream),
                  2 * row->index);
    return 0;
}

static int write_out(FILE *out, const void *bytes, size_t size)
{
    if (fwrite(bytes, 1, size, out) != size) {
        return complain(CLI_FAILED, "writing failed: %s", strerror(errno));
    }
    return CLI_OK;
}

/* What was held back is good: it goes out, before anything that came later. */
static int release_held(struct decode *decode)
{
    int exit_code = CLI_OK;
    size_t size;

    if (decode->held == NULL) {
        return CLI_OK;
    }
    rewind(decode->held);
    do {
        size = fread(decode->line.bytes, 1, decode->line._capacity, decode->held);
        exit_code = write_out(stdout, decode->line.bytes, size);
    } while (size > 0 && exit_code == CLI_OK);
    if (exit_code == CLI_OK && ferror(decode->held)) {
        exit_code = complain(CLI_FAILED, "reading back a temporary file failed: %s", strerror(errno));
    }
    (void)fclose(decode->held);
    decode->held = NULL;
    return exit_code;
}

static int print_row(struct decode *decode)
{
    struct err err = {0};
    bool verified = binlog_stream_cuttable(decode->stream);
    int exit_code = verified ? release_held(decode) : CLI_OK;

    if (exit_code != CLI_OK) {
        return exit_code;
    }
    if (append_row(decode, &err) != 0) {
        return complain(CLI_DATA, "%s, position %" PRIu64 ": %s", binlog_stream_file(decode->stream),
                        binlog_stream_event_position(decode->stream), err.text);
    }
    if (!verified && decode->held == NULL) {
        decode->held = tmpfile();
        if (decode->held == NULL) {
            return complain(CLI_FAILED, "a temporary file can't be made: %s", strerror(errno));
        }
    }
    return write_out(verified ? stdout : decode->held, decode->line.bytes, decode->line.size);
}

/* All items up to the end of the piece. */
static int decode_piece(struct decode *decode)
{
    struct err err = {0};
    int exit_code = CLI_OK;

    while (exit_code == CLI_OK) {
        switch (binlog_stream_next(decode->stream, &err)) {
        case BINLOG_INPUT:
            return binlog_stream_cuttable(decode->stream) ? release_held(decode) : CLI_OK;
        case BINLOG_ROW:
            exit_code = print_row(decode);
            break;
        case BINLOG_FAILED:
            return complain(CLI_DATA, "%s", err.text);
        default:
            break;
        }
    }
    return exit_code;
}

/* "binlog.000016" of "/var/tmp/binlog.000016.gz" */
static void open_stream(struct decode *decode, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *name = must_strdup(slash != NULL && slash[1] != '\0' ? slash + 1 : path);
    size_t size;

    size = strlen(name);
    if (size > 3 && strcmp(name + size - 3, ".gz") == 0) {
        name[size - 3] = '\0';
    }
    binlog_stream_open(decode->stream, name, 4);
    free(name);
}

static int decode_pieces(struct decode *decode, gzFile file, const char *path)
{
    struct err err = {0};
    int number = Z_OK;
    int size;

    while ((size = gzread(file, decode->piece, sizeof decode->piece)) > 0) {
        int exit_code;

        binlog_stream_give(decode->stream, decode->piece, (size_t)size);
        exit_code = decode_piece(decode);
        if (exit_code != CLI_OK) {
            return exit_code;
        }
    }
    (void)gzerror(file, &number);
    if (number == Z_ERRNO) {
        return complain(CLI_NO_INPUT, "%s: reading failed: %s", path, strerror(errno));
    }
    if (size < 0 || number == Z_BUF_ERROR) {
        return complain(CLI_DATA, "%s, position %" PRIu64 ": the gzip data is damaged or cut off",
                        binlog_stream_file(decode->stream), binlog_stream_event_position(decode->stream));
    }
    if (binlog_stream_end(decode->stream, &err) != 0) {
        return complain(CLI_DATA, "%s", err.text);
    }
    return CLI_OK;
}

static int decode_file(struct decode *decode, const char *path)
{
    gzFile file = gzopen(path, "rb");
    int exit_code;

    if (file == NULL) {
        return complain(CLI_NO_INPUT, "%s: %s", path, strerror(errno));
    }
    open_stream(decode, path);
    exit_code = decode_pieces(decode, file, path);
    (void)gzclose_r(file);
    return exit_code;
}

/* Before the first row is printed: files that are not there. */
static int check_files(const struct cli_arguments *arguments)
{
    for (size_t i = 0; i < arguments->word_count; i++) {
        FILE *file = fopen(arguments->words[i], "rb");

        if (file == NULL) {
            return complain(CLI_NO_INPUT, "%s: %s", arguments->words[i], strerror(errno));
        }
        (void)fclose(file);
    }
    return CLI_OK;
}

static int decode_files(struct decode *decode, const struct cli_arguments *arguments)
{
    int exit_code = check_files(arguments);

    for (size_t i = 0; i < arguments->word_count && exit_code == CLI_OK; i++) {
        exit_code = decode_file(decode, arguments->words[i]);
    }
    if (exit_code == CLI_OK && binlog_stream_inside(decode->stream)) {
        exit_code =
            complain(CLI_DATA, "%s, position %" PRIu64 ": the log ends inside a transaction; the file after it is missing",
                     binlog_stream_file(decode->stream), binlog_stream_event_position(decode->stream));
    }
    if (fflush(stdout) != 0 && exit_code == CLI_OK) {
        exit_code = complain(CLI_FAILED, "writing failed: %s", strerror(errno));
    }
    return exit_code;
}

static int load_choices(struct decode *decode)
{
    struct err err = {0};

    return choices_new(&decode->settings->source, &decode->choices, &err) == 0 ? CLI_OK : complain(CLI_SETTINGS, "%s", err.text);
}

static int decode_all(struct decode *decode, const struct cli_arguments *arguments)
{
    const struct binlog_stream_options options = {
        .framing = BINLOG_FILE,
        .selected = selected,
        .excluded = excluded,
        .context = decode,
        .choose = decode->choices != NULL ? choices_choose : NULL,
        .choose_context = decode->choices,
        .names_optional = true,
    };
    int exit_code;

    decode->stream = binlog_stream_new(&options);
    exit_code = decode_files(decode, arguments);
    if (decode->held != NULL) {
        (void)fclose(decode->held);
    }
    binlog_stream_free(decode->stream);
    return exit_code;
}

int decode_run(const struct cli_arguments *arguments)
{
    const char *path = arguments->values[CONFIG];
    struct settings *settings = path != NULL ? settings_load(path, SETTINGS_FOR_PRODUCER, stderr) : NULL;
    struct decode *decode;
    int exit_code;

    if (arguments->values[TYPES] != NULL) {
        settings_free(settings);
        types_print_markdown(stdout);
        return CLI_OK;
    }
    if (path != NULL && settings == NULL) {
        return CLI_SETTINGS;
    }
    if (arguments->word_count == 0) {
        settings_free(settings);
        return complain(CLI_USAGE, "a file is missing (see kakehi-producer decode --help)");
    }
    decode = calloc(1, sizeof *decode);
    must(decode != NULL);
    decode->settings = settings;
    exit_code = settings != NULL ? load_choices(decode) : CLI_OK;
    if (exit_code == CLI_OK) {
        exit_code = decode_all(decode, arguments);
    }
    choices_free(decode->choices);
    buffer_deinit(&decode->line);
    settings_free(settings);
    free(decode);
    return exit_code;
}
