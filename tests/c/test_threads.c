/* The thread pool and the scratch memory, without Python.
 *
 *     cc -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=thread -pthread -Isrc_c tests/c/test_threads.c \
 *         src_c/threads.c src_c/scratch.c -o test_threads && ./test_threads
 *
 * Ends with status 0, or prints what failed and ends with 1. `./test_threads latency` prints timings instead. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "scratch.h"
#include "threads.h"

#define LONG_WORK 1e9 /* an estimate above every cutoff */
#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void busy_wait_us(double us) {
    const double end = now_us() + us;
    while (now_us() < end) continue;
}

/* Plain stores: ThreadSanitizer sees a task that runs twice or whose result does not reach the caller. */
static fc_status mark(const void *context, ptrdiff_t task) {
    int *const counts = *(int *const *)context;
    counts[task]++;
    return FC_OK;
}

static void check_loop(ptrdiff_t tasks) {
    int *counts = calloc((size_t)tasks + 1, sizeof *counts);
    CHECK(fc_parallel_for(tasks, LONG_WORK, mark, &counts) == FC_OK);
    for (ptrdiff_t i = 0; i < tasks; i++) CHECK(counts[i] == 1);
    CHECK(counts[tasks] == 0);
    free(counts);
}

static void test_every_task_runs_once(void) {
    static const ptrdiff_t tasks[] = {0, 1, 2, 3, 7, 64, 1000};
    for (int threads = 1; threads <= 5; threads++) {
        fc_set_num_threads(threads);
        CHECK(fc_get_num_threads() == threads);
        for (int repeat = 0; repeat < 50; repeat++)
            for (size_t i = 0; i < sizeof tasks / sizeof tasks[0]; i++) check_loop(tasks[i]);
    }
}

typedef struct {
    atomic_int inside, most;
    double patience_us;
} crowd;

/* Leaves when two threads have met here, or when out of patience. */
static fc_status meet(const void *context, ptrdiff_t task) {
    (void)task;
    crowd *const c = *(crowd *const *)context;
    const int inside = atomic_fetch_add(&c->inside, 1) + 1;
    int most = atomic_load(&c->most);
    while (inside > most && !atomic_compare_exchange_weak(&c->most, &most, inside)) continue;
    for (const double end = now_us() + c->patience_us; atomic_load(&c->most) < 2 && now_us() < end;) usleep(10);
    atomic_fetch_sub(&c->inside, 1);
    return FC_OK;
}

static int most_at_once(double work, double patience_us) {
    crowd c = {.patience_us = patience_us}, *const pointer = &c;
    CHECK(fc_parallel_for(2, work, meet, &pointer) == FC_OK);
    return c.most;
}

static void test_threads_work_at_the_same_time(void) {
    fc_set_num_threads(2);
    CHECK(most_at_once(LONG_WORK, 2e6) == 2);
    usleep(2000); /* the worker is asleep now */
    CHECK(most_at_once(LONG_WORK, 2e6) == 2);
    CHECK(most_at_once(100.0, 2e4) == 1); /* below the cutoff */
    fc_set_num_threads(1);
    CHECK(most_at_once(LONG_WORK, 2e4) == 1);
}

static fc_status fail_at_5(const void *context, ptrdiff_t task) {
    atomic_int *const runs = *(atomic_int *const *)context;
    atomic_fetch_add(runs, 1);
    return task == 5 ? FC_NO_MEMORY : FC_OK;
}

static void test_bad_status_ends_the_loop(void) {
    for (int threads = 1; threads <= 3; threads++) {
        fc_set_num_threads(threads);
        atomic_int runs = 0, *const pointer = &runs;
        CHECK(fc_parallel_for(100000, LONG_WORK, fail_at_5, &pointer) == FC_NO_MEMORY);
        CHECK(runs >= 1 && runs < 100000);
        check_loop(10);
    }
}

static fc_status nest(const void *context, ptrdiff_t task) {
    (void)context;
    check_loop(20 + task);
    return FC_OK;
}

static void test_nested_loops(void) {
    fc_set_num_threads(3);
    for (int repeat = 0; repeat < 20; repeat++) CHECK(fc_parallel_for(6, LONG_WORK, nest, NULL) == FC_OK);
}

static void test_size_is_clamped(void) {
    fc_set_num_threads(-3);
    CHECK(fc_get_num_threads() == 1);
    fc_set_num_threads(100000);
    CHECK(fc_get_num_threads() == 256);
    fc_set_num_threads(2);
}

/* Half the smallest normal number: 0 when denormals are flushed. */
static double half_of_smallest(void) {
    volatile double smallest = 2.2250738585072014e-308;
    return smallest * 0.5;
}

static fc_status look_at_denormals(const void *context, ptrdiff_t task) {
    double *const results = *(double *const *)context;
    results[task] = half_of_smallest();
    return FC_OK;
}

static void test_denormals(void) {
    for (int threads = 1; threads <= 2; threads++) {
        fc_set_num_threads(threads);
        double results[64], *const pointer = results;
        CHECK(half_of_smallest() > 0);
        CHECK(fc_parallel_for(64, LONG_WORK, look_at_denormals, &pointer) == FC_OK);
        CHECK(half_of_smallest() > 0);
#if defined(__x86_64__) || defined(__aarch64__)
        for (int i = 0; i < 64; i++) CHECK(results[i] == 0);
#endif
    }
    const unsigned outer = fc_fp_enter(), inner = fc_fp_enter();
    fc_fp_leave(inner);
#if defined(__x86_64__) || defined(__aarch64__)
    CHECK(half_of_smallest() == 0);
#endif
    fc_fp_leave(outer);
    CHECK(half_of_smallest() > 0);
}

static fc_status look_at_signals(const void *context, ptrdiff_t task) {
    int *const blocked = *(int *const *)context;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    blocked[task] = sigismember(&mask, SIGINT);
    busy_wait_us(20);
    return FC_OK;
}

static void test_workers_block_signals(void) {
    fc_set_num_threads(2);
    int seen = 0, blocked[100], *const pointer = blocked;
    for (int repeat = 0; repeat < 50 && !seen; repeat++) {
        CHECK(fc_parallel_for(100, LONG_WORK, look_at_signals, &pointer) == FC_OK);
        for (int i = 0; i < 100; i++) seen += blocked[i];
    }
    CHECK(seen > 0);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    CHECK(!sigismember(&mask, SIGINT));
}

static fc_status fill_scratch(const void *context, ptrdiff_t task) {
    (void)context;
    static const fc_slot slots[] = {FC_SLOT_TASK, FC_SLOT_TASK2};
    const size_t bytes = (size_t)(task * 7919 % 300000 + 1);
    for (int i = 0; i < 2; i++) {
        unsigned char *const memory = fc_scratch(slots[i], bytes);
        if (!memory) return FC_NO_MEMORY;
        CHECK((uintptr_t)memory % 64 == 0);
        memset(memory, (int)task + i, bytes);
    }
    const unsigned char *const first = fc_scratch(FC_SLOT_TASK, bytes);
    CHECK(first[0] == (unsigned char)task && first[bytes - 1] == (unsigned char)task);
    return FC_OK;
}

static void test_scratch(void) {
    fc_set_num_threads(3);
    for (int repeat = 0; repeat < 5; repeat++) CHECK(fc_parallel_for(200, LONG_WORK, fill_scratch, NULL) == FC_OK);
    CHECK(fc_scratch(FC_SLOT_CALL, 0) != NULL);
    CHECK(fc_scratch(FC_SLOT_CALL, SIZE_MAX) == NULL);
    CHECK(fc_scratch(FC_SLOT_CALL, SIZE_MAX - 4096) == NULL);
    CHECK(fc_scratch(FC_SLOT_CALL, SIZE_MAX / 2) == NULL);
    unsigned char *const memory = fc_scratch(FC_SLOT_CALL, (size_t)8 << 20);
    CHECK(memory && memory != fc_scratch(FC_SLOT_CALL2, (size_t)8 << 20));
    memory[0] = memory[(8 << 20) - 1] = 7;
    /* A smaller request neither moves nor clears it. */
    CHECK(fc_scratch(FC_SLOT_CALL, 100) == memory);
    CHECK(fc_scratch(FC_SLOT_CALL, (size_t)8 << 20) == memory);
    CHECK(memory[0] == 7 && memory[(8 << 20) - 1] == 7);
}

static atomic_bool stop;

static void *keep_calling(void *argument) {
    unsigned state = (unsigned)(uintptr_t)argument;
    while (!atomic_load(&stop)) {
        state = state * 1103515245u + 12345u;
        check_loop((ptrdiff_t)(state >> 16) % 40);
        if (state >> 30 == 0) CHECK(fc_parallel_for(8, LONG_WORK, fill_scratch, NULL) == FC_OK);
    }
    return NULL;
}

static void *keep_resizing(void *argument) {
    (void)argument;
    for (int i = 0; !atomic_load(&stop); i++) {
        fc_set_num_threads(i % 5 + 1);
        usleep(200);
    }
    return NULL;
}

/* A thread that computes once and ends: its scratch goes with it, the pool stays. */
static void *call_once(void *argument) {
    (void)argument;
    check_loop(30);
    CHECK(fc_scratch(FC_SLOT_CALL, 100000) != NULL);
    return NULL;
}

/* The child computes, also with its own threads, and must not hang. It ends by `end`: exit, or _exit if other threads held
 * memory when it began, which a leak checker would report. */
static void fork_and_compute(void (*end)(int)) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(20);
        pthread_t thread;
        for (int i = 0; i < 5; i++) check_loop(50);
        CHECK(!pthread_create(&thread, NULL, call_once, NULL));
        check_loop(50);
        CHECK(!pthread_join(thread, NULL));
        fc_set_num_threads(2);
        CHECK(most_at_once(LONG_WORK, 2e6) == 2);
        end(0);
    }
    int status;
    while (waitpid(child, &status, 0) < 0) CHECK(errno == EINTR);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* How much forking the tools bear: 0, ThreadSanitizer (and qemu's user mode, by -DFORKS=0) cannot start threads after a fork;
 * 1, AddressSanitizer's allocator may stay locked in a child whose siblings were allocating; 2, all of it. */
#if defined(FORKS)
#elif defined(__SANITIZE_THREAD__)
#define FORKS 0
#elif defined(__SANITIZE_ADDRESS__)
#define FORKS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FORKS 0
#elif __has_feature(address_sanitizer)
#define FORKS 1
#endif
#endif
#ifndef FORKS
#define FORKS 2
#endif

static void test_fork(void) {
    if (FORKS < 1) return;
    fc_set_num_threads(3);
    unsigned char *const memory = fc_scratch(FC_SLOT_CALL, 5000);
    memset(memory, 9, 5000);
    for (int i = 0; i < 20; i++) {
        check_loop(50);
        if (i % 2) usleep(500);
        fork_and_compute(exit);
        CHECK(fc_scratch(FC_SLOT_CALL, 5000) == memory && memory[4999] == 9);
        check_loop(50);
    }
}

static void test_hammer(double seconds) {
    pthread_t threads[4];
    atomic_store(&stop, false);
    CHECK(!pthread_create(&threads[0], NULL, keep_resizing, NULL));
    for (uintptr_t i = 1; i < 4; i++) CHECK(!pthread_create(&threads[i], NULL, keep_calling, (void *)i));
    for (const double end = now_us() + seconds * 1e6; now_us() < end;) {
        pthread_t passing;
        CHECK(!pthread_create(&passing, NULL, call_once, NULL));
        if (FORKS >= 2) fork_and_compute(_exit);
        CHECK(!pthread_join(passing, NULL));
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) CHECK(!pthread_join(threads[i], NULL));
}

static fc_status nothing(const void *context, ptrdiff_t task) {
    (void)context;
    (void)task;
    return FC_OK;
}

/* Ends when both tasks have begun: the time of a loop is that of reaching the other thread and coming back. */
static fc_status meet_spinning(const void *context, ptrdiff_t task) {
    (void)task;
    atomic_int *const arrived = *(atomic_int *const *)context;
    atomic_fetch_add(arrived, 1);
    for (const double end = now_us() + 1000; atomic_load(arrived) < 2 && now_us() < end;) continue;
    return FC_OK;
}

static void print_latency(const char *what, int threads, double work, fc_task_fn fn, unsigned gap_us) {
    fc_set_num_threads(threads);
    double best = 1e9, sum = 0;
    const int rounds = gap_us ? 500 : 20000;
    for (int i = 0; i < rounds; i++) {
        if (gap_us) usleep(gap_us);
        atomic_int arrived = 0, *const pointer = &arrived;
        const double start = now_us();
        fc_parallel_for(2, work, fn, &pointer);
        const double took = now_us() - start;
        sum += took;
        if (took < best) best = took;
    }
    printf("%-40s %d threads: min %7.3f us, mean %7.3f us\n", what, threads, best, sum / rounds);
}

/* Two tasks of equal length: the time above one of them is the price of the loop. */
static fc_status busy_task(const void *context, ptrdiff_t task) {
    (void)task;
    busy_wait_us(*(const double *)context);
    return FC_OK;
}

static void print_two_tasks(double task_us, unsigned gap_us) {
    fc_set_num_threads(2);
    double best = 1e9, sum = 0;
    for (int i = 0; i < 500; i++) {
        if (gap_us > 200) usleep(gap_us);
        else busy_wait_us(gap_us);
        const double start = now_us();
        fc_parallel_for(2, LONG_WORK, busy_task, &task_us);
        const double took = now_us() - start;
        sum += took;
        if (took < best) best = took;
    }
    printf("2 tasks of %5.0f us, gap %5u us: min %7.2f us, mean %7.2f us\n", task_us, gap_us, best, sum / 500);
}

int main(int count, char **arguments) {
    if (count > 1 && !strcmp(arguments[1], "latency")) {
        print_latency("empty, one thread", 1, LONG_WORK, nothing, 0);
        print_latency("empty, below the cutoff", 2, 100.0, nothing, 0);
        print_latency("empty, worker awake", 2, LONG_WORK, nothing, 0);
        print_latency("empty, worker asleep", 2, LONG_WORK, nothing, 1000);
        print_latency("both threads meet, worker awake", 2, LONG_WORK, meet_spinning, 0);
        print_latency("both threads meet, worker asleep", 2, LONG_WORK, meet_spinning, 1000);
        print_latency("empty, more threads than CPUs", 4, LONG_WORK, nothing, 0);
        static const double task_us[] = {5, 10, 20, 50, 200};
        for (size_t i = 0; i < sizeof task_us / sizeof task_us[0]; i++)
            for (unsigned gap = 10; gap <= 1000; gap *= 10) print_two_tasks(task_us[i], gap);
        return 0;
    }
    alarm(120);
    const int available = fc_get_num_threads();
    CHECK(available >= 1 && available <= 256);
    test_every_task_runs_once();
    test_threads_work_at_the_same_time();
    test_bad_status_ends_the_loop();
    test_nested_loops();
    test_size_is_clamped();
    test_denormals();
    test_workers_block_signals();
    test_scratch();
    test_fork();
    test_hammer(2.0);
    puts("threads: ok");
    return 0;
}
