/* SPDX-License-Identifier: Apache-2.0 */
/*
 * step_clock: the wall clock as a test wants it, for one program: LD_PRELOAD=.../step_clock.so STEP_CLOCK=FILE. The file holds a number of
 * microseconds (int64_t, as it is in memory), which the test changes while the program runs: so much is the program's clock ahead.
 *
 * The monotonic clock is left alone, and so is whatever waits by it. librdkafka's waits are by the wall clock (cnd_timedwait): one that is
 * under way when the clock steps back lasts longer by as much, just as with the real clock. So it is waited in slices here, and after each
 * the time is looked at anew.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define US_A_SECOND INT64_C(1000000)
#define SLICE_US    20000

static const _Atomic int64_t *ahead_us; /* of the file */

__attribute__((constructor)) static void open_file(void)
{
    const char *name = getenv("STEP_CLOCK");
    int file = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *memory = file >= 0 ? mmap(NULL, sizeof *ahead_us, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;

    if (memory == MAP_FAILED) {
        abort();
    }
    ahead_us = memory;
    (void)close(file);
}

static int64_t real_us(void)
{
    struct timespec now;

    (void)syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec * US_A_SECOND + now.tv_nsec / 1000;
}

static int64_t stepped_us(void)
{
    return real_us() + (ahead_us != NULL ? atomic_load(ahead_us) : 0);
}

static struct timespec of_us(int64_t us)
{
    return (struct timespec){us / US_A_SECOND, us % US_A_SECOND * 1000};
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, ret_now);
    }
    *ret_now = of_us(stepped_us());
    return 0;
}

int timespec_get(struct timespec *ret_now, int base)
{
    *ret_now = of_us(stepped_us());
    return base;
}

time_t time(time_t *ret_now)
{
    time_t now = stepped_us() / US_A_SECOND;

    if (ret_now != NULL) {
        *ret_now = now;
    }
    return now;
}

int gettimeofday(struct timeval *restrict ret_now, void *restrict zone)
{
    int64_t now_us = stepped_us();

    (void)zone;
    *ret_now = (struct timeval){now_us / US_A_SECOND, now_us % US_A_SECOND};
    return 0;
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    static int (*_Atomic wait)(cnd_t *, mtx_t *, const struct timespec *);
    int64_t until_us = until->tv_sec * US_A_SECOND + until->tv_nsec / 1000;
    int result = thrd_timedout;

    if (atomic_load(&wait) == NULL) {
        atomic_store(&wait, (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait"));
    }
    do {
        int64_t left_us = until_us - stepped_us();
        struct timespec slice = of_us(real_us() + (left_us < 0 ? 0 : left_us < SLICE_US ? left_us : SLICE_US));

        result = atomic_load(&wait)(condition, mutex, &slice);
    } while (result == thrd_timedout && stepped_us() < until_us);
    return result;
}
