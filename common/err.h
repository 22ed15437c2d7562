/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: what went wrong, and what kind of wrong.
 *
 * The module that meets the foreign error (errno, librdkafka, MySQL, SQLite, bad bytes) sets it once, with its class; callers
 * put what they were doing in front and pass it outward; the owner of the object logs it, once, and decides by the class.
 */
#ifndef KAKEHI_COMMON_ERR_H
#define KAKEHI_COMMON_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum err_class {
    ERR_NONE,
    ERR_RETRY,    /* may work later, unchanged */
    ERR_POISON,   /* this input will never work; others will */
    ERR_FATAL,    /* nothing will work until a person acts; the text says what to do */
    ERR_CANCELED, /* we were told to stop */
};

struct err {
    enum err_class class;
    char text[512];
};

/* Sets the error and returns -1, so that a caller can write `return err_set(...)`. */
__attribute__((format(printf, 3, 4))) int err_set(struct err *err, enum err_class class, const char *format, ...);

/* Puts what was being done in front: "renewing the token: HTTP 503". The class stays. Returns -1. */
__attribute__((format(printf, 2, 3))) int err_while(struct err *err, const char *format, ...);

/* "retry", "poison", "fatal", "canceled", "none": for logs. */
const char *err_class_name(enum err_class class);

#endif
