/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checksums are zlib's CRC32 over the event without its last 4 bytes, computed by libdeflate, many times as fast: with zlib itself they were
 * the largest part of the producer's work. Three events are special:
 *   FORMAT_DESCRIPTION   has one even where the file's other events have none, and it was made with the in-use flag cleared. A
 *                        server that rewrites it for a dump leaves the old checksum standing where the file has none.
 *   artificial ROTATE    comes in front of the file whose checksums it would follow: its checksum is taken off if it fits
 *   everything else      as the last FORMAT_DESCRIPTION says
 */
#include "producer/binlog/assembly.h"

#include <libdeflate.h>
#include <string.h>

#include "common/must.h"

#define SKIM_KEPT_BYTES   (1024 * 1024)
#define EVENT_BYTES_MAX   (64 * 1024 * 1024) /* of an event that must be whole */
#define WINDOW_KEPT_BYTES (4 * 1024 * 1024)  /* a window above this is given back after its event */

static const uint8_t magic[4] = {0xfe, 'b', 'i', 'n'};

void assembly_init(struct assembly *assembly, enum binlog_framing framing)
{
    *assembly = (struct assembly){.magic_left = framing == BINLOG_FILE ? sizeof magic : 0, .offset = sizeof magic};
    packet_init(&assembly->packets, framing);
}

void assembly_deinit(struct assembly *assembly)
{
    packet_deinit(&assembly->packets);
    buffer_deinit(&assembly->window);
}

void assembly_reset(struct assembly *assembly)
{
    enum binlog_framing framing = assembly->packets.framing;
    struct seals *seals = assembly->seals;

    assembly_deinit(assembly);
    assembly_init(assembly, framing);
    assembly->seals = seals;
}

bool assembly_idle(const struct assembly *assembly)
{
    return assembly->magic_left == 0 && assembly->phase == ASSEMBLY_HEAD && assembly->head_size == 0 &&
           packet_idle(&assembly->packets);
}

static enum assembly_result of_packet(enum packet_result result)
{
    return result == PACKET_INPUT ? ASSEMBLY_INPUT : ASSEMBLY_FAILED;
}

static int fail(struct err *err, const char *why)
{
    return err_set(err, ERR_FATAL, "%s", why);
}

static enum assembly_result read_magic(struct assembly *assembly, struct err *err)
{
    while (assembly->magic_left > 0) {
        const uint8_t *run;
        size_t size;
        enum packet_result result = packet_run(&assembly->packets, &run, &size, err);

        if (result != PACKET_RUN) {
            return of_packet(result);
        }
        if (*run != magic[sizeof magic - assembly->magic_left]) {
            (void)fail(err, "not a binlog: it does not begin with fe 62 69 6e (is it encrypted, or a relay index?)");
            return ASSEMBLY_FAILED;
        }
        packet_take(&assembly->packets, 1);
        assembly->magic_left--;
    }
    return ASSEMBLY_EVENT;
}

static bool is_format(const struct assembly *assembly)
{
    return assembly->event.header.type == EVENT_FORMAT_DESCRIPTION;
}

static bool has_checksum(const struct assembly *assembly)
{
    return assembly->format_known && assembly->format.checksums;
}

/* Does the event of the file's own head come before its description? Only an artificial ROTATE may. */
static bool comes_too_early(const struct assembly *assembly)
{
    const struct event_header *header = &assembly->event.header;

    return !assembly->format_known && !is_format(assembly) &&
           !(header->type == EVENT_ROTATE && (header->flags & EVENT_FLAG_ARTIFICIAL) != 0) && !event_is_heartbeat(header->type);
}

static bool comes_in_parts(uint8_t type)
{
    return event_is_rows(type) || type == EVENT_TRANSACTION_PAYLOAD || type == EVENT_MARIADB_PARTIAL_ROW_DATA || event_uncompressed(type) != 0;
}

static enum assembly_phase choose_parts(struct assembly *assembly)
{
    bool twice = assembly->seals != NULL && has_checksum(assembly) && assembly->event.header.type == EVENT_TRANSACTION_PAYLOAD;
    enum seals_choice choice = twice ? seals_choose(assembly->seals, assembly->head) : SEALS_NONE;

    assembly->verified = choice == SEALS_COMPARE;
    return choice == SEALS_NOTE ? ASSEMBLY_SEAL : ASSEMBLY_PARTS;
}

static int choose_phase(struct assembly *assembly, struct err *err)
{
    const struct event_header *header = &assembly->event.header;
    enum event_action action = event_action(header);

    if (comes_too_early(assembly)) {
        return err_set(err, ERR_FATAL, "an event of type %u (%s) stands where FORMAT_DESCRIPTION was due", header->type,
                       event_name(header->type));
    }
    if (has_checksum(assembly) && header->size < EVENT_HEADER_SIZE + EVENT_CRC_SIZE && !is_format(assembly)) {
        return err_set(err, ERR_FATAL, "an event of %u bytes has no room for its checksum", header->size);
    }
    if (header->size <= CHECKED_WHOLE_MAX) {
        assembly->phase = ASSEMBLY_WHOLE;
    } else if (comes_in_parts(header->type)) {
        assembly->phase = choose_parts(assembly);
    } else if (action == EVENT_REFUSE) {
        return err_set(err, ERR_FATAL, "event %u (%s): %s", header->type, event_name(header->type),
                       event_refusal(header->type));
    } else if (action == EVENT_PASS || header->type == EVENT_QUERY || header->type == EVENT_EXECUTE_LOAD_QUERY) {
        assembly->phase = ASSEMBLY_SKIM;
    } else if (header->size <= EVENT_BYTES_MAX) {
        assembly->phase = ASSEMBLY_WHOLE;
    } else {
        return err_set(err, ERR_FATAL, "an event of type %u (%s) of %u bytes: more than %d are not possible", header->type,
                       event_name(header->type), header->size, EVENT_BYTES_MAX);
    }
    return 0;
}

static enum assembly_result read_head(struct assembly *assembly, struct err *err)
{
    while (assembly->head_size < EVENT_HEADER_SIZE) {
        size_t due = EVENT_HEADER_SIZE - assembly->head_size;
        const uint8_t *run;
        size_t size;
        enum packet_result result = packet_run(&assembly->packets, &run, &size, err);

        if (result != PACKET_RUN) {
            return of_packet(result);
        }
        size = size < due ? size : due;
        memcpy(assembly->head + assembly->head_size, run, size);
        assembly->head_size += (uint8_t)size;
        packet_take(&assembly->packets, size);
    }
    assembly->event = (struct event){.offset = assembly->offset, .body = assembly->head};
    if (event_header_read(assembly->head, &assembly->event.header, err) != 0 || choose_phase(assembly, err) != 0) {
        return ASSEMBLY_FAILED;
    }
    assembly->left = assembly->event.header.size - EVENT_HEADER_SIZE;
    assembly->crc = libdeflate_crc32(0, assembly->head, EVENT_HEADER_SIZE);
    assembly->window_taken = assembly->unverified_size = 0;
    buffer_clear(&assembly->window);
    return ASSEMBLY_EVENT;
}

/* The event is behind us; another may begin. */
static void finish(struct assembly *assembly)
{
    assembly->offset += assembly->event.header.size;
    assembly->head_size = 0;
    assembly->phase = ASSEMBLY_HEAD;
    assembly->event.complete = true;
}

static uint32_t stored_crc(const uint8_t *bytes)
{
    struct cursor cursor = cursor_over(bytes, EVENT_CRC_SIZE);

    return cursor_u32(&cursor);
}

static int compare_crc(uint32_t made, uint32_t stored, struct err *err)
{
    if (made != stored) {
        return err_set(err, ERR_FATAL, "the checksum does not fit: %08x is stored, %08x was computed: the bytes are damaged",
                       stored, made);
    }
    return 0;
}

static bool crc_fits(const struct assembly *assembly, const uint8_t *bytes, size_t size)
{
    return size >= EVENT_CRC_SIZE &&
           libdeflate_crc32(assembly->crc, bytes, size - EVENT_CRC_SIZE) == stored_crc(bytes + size - EVENT_CRC_SIZE);
}

static int accept_format(struct assembly *assembly, const uint8_t *bytes, size_t size, struct err *err)
{
    struct format_description format;
    uint8_t head[EVENT_HEADER_SIZE];
    uint32_t crc;

    if (format_description_read(&format, bytes, size, err) != 0) {
        return -1;
    }
    if (format.has_trailer && (format.checksums || assembly->packets.framing == BINLOG_FILE)) {
        memcpy(head, assembly->head, sizeof head);
        head[EVENT_HEADER_SIZE - 2] &= (uint8_t)~EVENT_FLAG_IN_USE;
        crc = libdeflate_crc32(libdeflate_crc32(0, head, sizeof head), bytes, size - EVENT_CRC_SIZE);
        if (compare_crc(crc, stored_crc(bytes + size - EVENT_CRC_SIZE), err) != 0) {
            return -1;
        }
    }
    assembly->format = format;
    assembly->format_known = true;
    return 0;
}

/* All bytes behind the header are here, in one place. */
static enum assembly_result accept_whole(struct assembly *assembly, const uint8_t *bytes, size_t size, struct err *err)
{
    struct event *event = &assembly->event;

    event->body = bytes;
    event->size = size;
    if (is_format(assembly)) {
        if (accept_format(assembly, bytes, size, err) != 0) {
            return ASSEMBLY_FAILED;
        }
    } else if (assembly->packets.framing == BINLOG_PACKETS && event->header.type == EVENT_ROTATE &&
               (event->header.flags & EVENT_FLAG_ARTIFICIAL) != 0) {
        event->size -= crc_fits(assembly, bytes, size) ? EVENT_CRC_SIZE : 0;
    } else if (has_checksum(assembly)) {
        uint32_t crc = libdeflate_crc32(assembly->crc, bytes, size - EVENT_CRC_SIZE);

        if (compare_crc(crc, stored_crc(bytes + size - EVENT_CRC_SIZE), err) != 0) {
            return ASSEMBLY_FAILED;
        }
        event->size -= EVENT_CRC_SIZE;
    }
    finish(assembly);
    return ASSEMBLY_EVENT;
}

static enum assembly_result read_whole(struct assembly *assembly, struct err *err)
{
    bool gather = assembly->event.header.size > CHECKED_WHOLE_MAX; /* its end may be a packet of its own */
    const uint8_t *run = assembly->head;
    size_t size = 0;
    enum packet_result result;

    while (assembly->left > 0) {
        result = packet_run(&assembly->packets, &run, &size, err);
        if (result != PACKET_RUN) {
            return of_packet(result);
        }
        size = size < assembly->left ? size : assembly->left;
        packet_take(&assembly->packets, size);
        assembly->left -= (uint32_t)size;
        if (gather || assembly->left > 0 || assembly->window.size > 0) {
            buffer_append(&assembly->window, run, size);
        }
    }
    result = packet_end(&assembly->packets, err);
    if (result != PACKET_RUN) {
        must(result == PACKET_FAILED || assembly->window.size > 0);
        return of_packet(result);
    }
    if (assembly->window.size > 0) {
        return accept_whole(assembly, assembly->window.bytes, assembly->window.size, err);
    }
    return accept_whole(assembly, run, size, err);
}

/* Takes a run into the running checksum: all but the event's last 4 bytes, which are the stored one. */
static void add_to_crc(struct assembly *assembly, const uint8_t *run, size_t size)
{
    size_t in_crc = assembly->left > EVENT_CRC_SIZE ? assembly->left - EVENT_CRC_SIZE : 0;

    in_crc = in_crc < size ? in_crc : size;
    assembly->crc = libdeflate_crc32(assembly->crc, run, in_crc);
    for (size_t i = in_crc; i < size; i++) {
        assembly->crc_stored[EVENT_CRC_SIZE - (assembly->left - i)] = run[i];
    }
}

/* Bytes of the event behind its header that were read. */
static size_t read_size(const struct assembly *assembly)
{
    return assembly->event.header.size - EVENT_HEADER_SIZE - assembly->left;
}

static bool has_seals(const struct assembly *assembly)
{
    return assembly->phase == ASSEMBLY_SEAL || assembly->verified;
}

/* Behind each SEAL_BYTES of the event. */
static int pass_seal(struct assembly *assembly, struct err *err)
{
    size_t size = read_size(assembly);

    if (!has_seals(assembly) || size % SEAL_BYTES != 0) {
        return 0;
    }
    if (assembly->phase == ASSEMBLY_SEAL) {
        seals_note(assembly->seals, assembly->crc);
    } else if (!seals_fit(assembly->seals, size / SEAL_BYTES, assembly->crc)) {
        return fail(err, "it was read twice, and its bytes differed: they were damaged on their way, or the log was changed");
    }
    assembly->unverified_size = 0;
    return 0;
}

/* The next run of an event that is not gathered whole; at most `keep` bytes of it go to the window. */
static enum assembly_result read_run(struct assembly *assembly, size_t keep, struct err *err)
{
    size_t behind_body = has_checksum(assembly) ? EVENT_CRC_SIZE : 0;
    const uint8_t *run;
    size_t size;
    size_t of_body;
    size_t to_seal;
    enum packet_result result = packet_run(&assembly->packets, &run, &size, err);

    if (result != PACKET_RUN) {
        return of_packet(result);
    }
    size = size < assembly->left ? size : assembly->left;
    to_seal = SEAL_BYTES - read_size(assembly) % SEAL_BYTES;
    size = has_seals(assembly) && to_seal < size ? to_seal : size;
    if (behind_body > 0) {
        add_to_crc(assembly, run, size);
    }
    of_body = assembly->left > behind_body ? assembly->left - behind_body : 0;
    of_body = of_body < size ? of_body : size;
    of_body = of_body < keep ? of_body : keep;
    buffer_append(&assembly->window, run, of_body);
    assembly->unverified_size += assembly->verified ? of_body : 0;
    packet_take(&assembly->packets, size);
    assembly->left -= (uint32_t)size;
    return pass_seal(assembly, err) == 0 ? ASSEMBLY_EVENT : ASSEMBLY_FAILED;
}

/* Nothing of the event is left to read. */
static enum assembly_result end_run(struct assembly *assembly, struct err *err)
{
    enum packet_result result = packet_end(&assembly->packets, err);

    if (result != PACKET_RUN) {
        return of_packet(result);
    }
    if (has_checksum(assembly) && compare_crc(assembly->crc, stored_crc(assembly->crc_stored), err) != 0) {
        return ASSEMBLY_FAILED;
    }
    assembly->unverified_size = 0;
    finish(assembly);
    return ASSEMBLY_EVENT;
}

static enum assembly_result read_seals(struct assembly *assembly, struct err *err)
{
    enum assembly_result result = ASSEMBLY_EVENT;

    while (result == ASSEMBLY_EVENT && assembly->left > 0) {
        result = read_run(assembly, 0, err);
    }
    if (result == ASSEMBLY_EVENT) {
        result = end_run(assembly, err);
    }
    if (result == ASSEMBLY_EVENT) {
        seals_complete(assembly->seals);
        assembly->event.sealed_only = true;
    }
    return result;
}

static enum assembly_result read_skim(struct assembly *assembly, struct err *err)
{
    enum assembly_result result = ASSEMBLY_EVENT;

    while (result == ASSEMBLY_EVENT && assembly->left > 0) {
        result = read_run(assembly, SKIM_KEPT_BYTES - assembly->window.size, err);
    }
    if (result == ASSEMBLY_EVENT) {
        result = end_run(assembly, err);
    }
    if (result == ASSEMBLY_EVENT) {
        assembly->event.body = assembly->window.bytes;
        assembly->event.size = assembly->window.size;
        assembly->event.beginning_only = true;
    }
    return result;
}

static void give_back_large_window(struct assembly *assembly)
{
    if (assembly->window.size > WINDOW_KEPT_BYTES) {
        buffer_deinit(&assembly->window);
    }
}

enum assembly_result assembly_next(struct assembly *assembly, struct err *err)
{
    enum assembly_result result = read_magic(assembly, err);

    if (result == ASSEMBLY_EVENT && assembly->phase == ASSEMBLY_HEAD) {
        if (assembly->head_size == 0) {
            give_back_large_window(assembly);
        }
        result = read_head(assembly, err);
    }
    if (result != ASSEMBLY_EVENT) {
        return result;
    }
    switch (assembly->phase) {
    case ASSEMBLY_WHOLE:
        return read_whole(assembly, err);
    case ASSEMBLY_SKIM:
        return read_skim(assembly, err);
    case ASSEMBLY_SEAL:
        return read_seals(assembly, err);
    default:
        must(assembly->phase == ASSEMBLY_PARTS);
        return ASSEMBLY_EVENT; /* nothing of it is in the body yet: the owner asks for more */
    }
}

/* A run, or as many as it takes to the next seal. */
static enum assembly_result read_part(struct assembly *assembly, struct err *err)
{
    enum assembly_result result;

    do {
        result = read_run(assembly, SIZE_MAX, err);
    } while (result == ASSEMBLY_EVENT && assembly->unverified_size > 0 && assembly->left > 0);
    return result;
}

enum assembly_result assembly_more(struct assembly *assembly, struct err *err)
{
    enum assembly_result result;

    must(assembly->phase == ASSEMBLY_PARTS);
    if (assembly->window_taken > 0 && assembly->left > 0) {
        buffer_drop(&assembly->window, assembly->window_taken);
        assembly->window_taken = 0;
    }
    result = assembly->left > 0 ? read_part(assembly, err) : ASSEMBLY_EVENT;
    if (result == ASSEMBLY_EVENT && assembly->left == 0) {
        result = end_run(assembly, err);
    }
    assembly->event.body = assembly->window.size > 0 ? assembly->window.bytes + assembly->window_taken : assembly->head;
    assembly->event.size = assembly->window.size - assembly->window_taken - assembly->unverified_size;
    return result;
}

void assembly_take(struct assembly *assembly, size_t size)
{
    must(size <= assembly->event.size);
    assembly->event.body += size;
    assembly->event.size -= size;
    assembly->window_taken += size;
}
