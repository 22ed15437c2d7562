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

/*
 *   int err_set(struct err *err, enum err_class class, const char *format, ...)   sets the error
 *   int err_while(struct err *err, const char *format, ...)                       puts what was being done in front, as in
 *                                                                                "renewing the token: HTTP 503"; the class stays
 * Both give -1, so that a caller can write `return err_set(...)`. They are macros so that compilers and analyzers see the -1:
 * else they take the caller for one that may have succeeded, and what it gives back for uninitialized.
 */
#define err_set(...)   err_failed(err_set_text(__VA_ARGS__))
#define err_while(...) err_failed(err_put_in_front(__VA_ARGS__))

__attribute__((format(printf, 3, 4))) struct err *err_set_text(struct err *err, enum err_class class, const char *format, ...);
__attribute__((format(printf, 2, 3))) struct err *err_put_in_front(struct err *err, const char *format, ...);

static inline int err_failed(const struct err *err)
{
    (void)err;
    return -1;
}

/* "retry", "poison", "fatal", "canceled", "none": for logs. */
const char *err_class_name(enum err_class class);

#endif
