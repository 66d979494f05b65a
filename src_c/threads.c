/* The pool: one loop at a time, published by the thread that holds `busy`; workers help, the caller works too.
 *
 * A worker takes part in a loop by passing the door, which counts who is inside. The caller closes the door when no task is
 * left and waits only for those inside: a worker that woke late, or that got no CPU, never holds up a loop. Workers wait for
 * `generation` to change, first spinning, then asleep on a condition variable.
 *
 * fork: a child starts without workers and makes new ones when it needs them. Nothing is locked across the fork, so a loop
 * that runs in another thread meanwhile goes on in the parent and is forgotten in the child. Tasks do not fork. */
#include "threads.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define MAX_THREADS 256
#define STACK_BYTES ((size_t)1 << 20)
/* A loop shorter than this is not worth telling another thread: the hand-over costs under a microsecond, but what one core has made
 * and another reads takes as long as to make it again. */
#define CUTOFF_AWAKE_NS 12000.0
/* Nor are loops that take less than this together worth waking one, which takes 10 to 20 microseconds. */
#define CUTOFF_ASLEEP_NS 25000.0
/* They are when they take no longer than so many times what they would. */
#define MISSED_TIMES 2
/* Longer than the gap between two kernels of a training step, short enough not to be seen in a profile. */
#define SPIN_NS 50000

/* The door: how many workers are inside, and two flags. */
#define DOOR_CLOSED 0x80000000u
#define DOOR_AWAITED 0x40000000u /* the caller sleeps until the last one leaves */
#define DOOR_INSIDE 0x3fffffffu

#define OWN_LINE _Alignas(64)

/* Tasks next .. end - 1, which a thread takes in order before it helps others with theirs. Loops over the same arrays, and neighbouring
 * tasks of one, find in a core's cache what they left there: results that change cores cost as much as those from memory. */
typedef struct {
    OWN_LINE atomic_ptrdiff_t next;
    ptrdiff_t end;
} task_share;

static struct {
    atomic_int wanted; /* threads including the caller; 0: not yet decided */
    atomic_bool busy;  /* held by the caller of the loop that runs, or while the pool is resized */

    /* Of the holder of `busy`. */
    int resized_to; /* the value of `wanted` that the workers were last made for */
    int workers;    /* may be fewer than wanted - 1 when the system refused more */
    pid_t owner;    /* the process whose threads these are */
    pthread_t threads[MAX_THREADS - 1];

    /* The loop: written before the door opens, read by those inside. */
    OWN_LINE int shares;
    fc_task_fn fn;
    const void *context;
    atomic_int limit;     /* workers from this index on end */
    atomic_bool may_spin; /* there is a CPU for every thread */

    atomic_int status;
    task_share share[MAX_THREADS]; /* of each thread, the caller's first */
    OWN_LINE atomic_uint door;
    OWN_LINE atomic_uint generation;
    atomic_int awake; /* workers that are not asleep */
    atomic_int missed_ns;         /* of loops that would have been shared since the time below, while workers slept */
    atomic_int_fast64_t missed_since;

    /* For sleeping only. */
    OWN_LINE pthread_mutex_t lock;
    pthread_cond_t wake, empty;
} pool = {
    .door = DOOR_CLOSED,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .empty = PTHREAD_COND_INITIALIZER,
};

/* Floating-point state: round to nearest, no traps, denormals flushed. The status flags are not part of it. */
#if defined(__x86_64__)
#define FP_STATE 0x9fc0u /* all exceptions masked, FTZ, DAZ */
#define FP_CONTROL 0xffc0u
static unsigned fp_get(void) { return _mm_getcsr(); }
static void fp_set(unsigned state) { _mm_setcsr(state); }
#elif defined(__aarch64__)
#define FP_STATE (1u << 24) /* FZ */
#define FP_CONTROL 0xffffffffu
static unsigned fp_get(void) {
    uint64_t state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    return (unsigned)state;
}
static void fp_set(unsigned state) { __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)state)); }
#else
#define FP_STATE 0u
#define FP_CONTROL 0u
static unsigned fp_get(void) { return 0; }
static void fp_set(unsigned state) { (void)state; }
#endif

unsigned fc_fp_enter(void) {
    const unsigned saved = fp_get();
    if ((saved & FP_CONTROL) != FP_STATE) fp_set(FP_STATE);
    return saved;
}

void fc_fp_leave(unsigned saved) {
    if ((saved & FP_CONTROL) != FP_STATE) fp_set(saved);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

typedef struct {
    unsigned beats;
    int64_t end;
} spinner;

/* One beat of a busy wait; false when it is time to sleep. */
static bool spin(spinner *s) {
    if (!atomic_load_explicit(&pool.may_spin, memory_order_relaxed)) return false;
    if (s->beats++ % 16 == 0) {
        const int64_t now = now_ns();
        if (!s->end) s->end = now + SPIN_NS;
        if (now >= s->end) return false;
    }
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
    return true;
}

static void take_tasks(int self) {
    const fc_task_fn fn = pool.fn;
    const void *const context = pool.context;
    const int shares = pool.shares;
    for (int i = 0; i < shares; i++) {
        task_share *const share = &pool.share[(self + i) % shares];
        ptrdiff_t task;
        while ((task = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed)) < share->end) {
            const fc_status status = fn(context, task);
            if (status == FC_OK) continue;
            int first = FC_OK;
            atomic_compare_exchange_strong_explicit(&pool.status, &first, (int)status, memory_order_relaxed, memory_order_relaxed);
            for (int j = 0; j < shares; j++) atomic_store_explicit(&pool.share[j].next, pool.share[j].end, memory_order_relaxed);
        }
    }
}

static void help(int self) {
    if (atomic_load_explicit(&pool.door, memory_order_relaxed) & DOOR_CLOSED) return;
    if (!(atomic_fetch_add_explicit(&pool.door, 1, memory_order_acquire) & DOOR_CLOSED)) take_tasks(self);
    const unsigned before = atomic_fetch_sub_explicit(&pool.door, 1, memory_order_release);
    if ((before & DOOR_AWAITED) && (before & DOOR_INSIDE) == 1) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_signal(&pool.empty);
        pthread_mutex_unlock(&pool.lock);
    }
}

static void wait_for_news(unsigned seen) {
    spinner s = {0};
    do
        if (atomic_load_explicit(&pool.generation, memory_order_relaxed) != seen) return;
    while (spin(&s));
    /* Sequentially consistent on both sides: either the sleeper sees the new generation or announce() sees the sleeper. */
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_sub(&pool.awake, 1);
    while (atomic_load(&pool.generation) == seen) pthread_cond_wait(&pool.wake, &pool.lock);
    atomic_fetch_add(&pool.awake, 1);
    pthread_mutex_unlock(&pool.lock);
}

/* Tells the workers, and wakes as many as it takes to have `helpers` awake. */
static void announce(int helpers) {
    atomic_fetch_add(&pool.generation, 1);
    const int needed = helpers - atomic_load(&pool.awake);
    if (needed <= 0) return;
    /* Who is about to sleep has seen the generation, or does sleep once the lock is free. */
    pthread_mutex_lock(&pool.lock);
    pthread_mutex_unlock(&pool.lock);
    if (helpers == pool.workers) {
        pthread_cond_broadcast(&pool.wake);
    } else {
        for (int i = 0; i < needed; i++) pthread_cond_signal(&pool.wake);
    }
}

static void *work(void *argument) {
    const int index = (int)(intptr_t)argument;
    fc_fp_enter();
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "fastconv");
#endif
    for (;;) {
        const unsigned seen = atomic_load_explicit(&pool.generation, memory_order_acquire);
        if (index >= atomic_load_explicit(&pool.limit, memory_order_relaxed)) return NULL;
        help(index + 1);
        wait_for_news(seen);
    }
}

static int cpus(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) return CPU_COUNT(&set);
#endif
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > MAX_THREADS ? MAX_THREADS : (int)online;
}

static void forget_workers(void) {
    pool.workers = pool.resized_to = 0;
    atomic_store(&pool.awake, 0);
    atomic_store(&pool.door, DOOR_CLOSED);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wake, NULL);
    pthread_cond_init(&pool.empty, NULL);
    atomic_store(&pool.busy, false);
}

static void prepare_for_forks(void) { pthread_atfork(NULL, NULL, forget_workers); }

static void end_workers(int keep) {
    if (pool.workers <= keep) return;
    atomic_store_explicit(&pool.limit, keep, memory_order_relaxed);
    announce(pool.workers);
    while (pool.workers > keep) {
        pthread_join(pool.threads[--pool.workers], NULL);
        atomic_fetch_sub(&pool.awake, 1);
    }
}

static void start_workers(int count) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare_for_forks);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes)) return;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* Workers take no signals: they are for the program's own threads. */
    sigset_t all, mask;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    pool.owner = getpid();
    atomic_store_explicit(&pool.limit, count, memory_order_relaxed);
    while (pool.workers < count && !pthread_create(&pool.threads[pool.workers], &attributes, work, (void *)(intptr_t)pool.workers)) {
        atomic_fetch_add(&pool.awake, 1);
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    pthread_attr_destroy(&attributes);
}

static void resize(int threads) {
    atomic_store_explicit(&pool.may_spin, threads <= cpus(), memory_order_relaxed);
    end_workers(threads - 1);
    start_workers(threads - 1);
    pool.resized_to = threads;
}

/* At exit, and before the library is unloaded. `busy` stays held: a thread that still computes does so alone. */
__attribute__((destructor)) static void end_pool(void) {
    if (!atomic_exchange_explicit(&pool.busy, true, memory_order_acquire) && pool.owner == getpid()) end_workers(0);
}

static fc_status run_alone(ptrdiff_t tasks, fc_task_fn fn, const void *context) {
    fc_status status = FC_OK;
    for (ptrdiff_t i = 0; i < tasks && status == FC_OK; i++) status = fn(context, i);
    return status;
}

static void wait_until_empty(void) {
    unsigned door = atomic_fetch_or_explicit(&pool.door, DOOR_CLOSED, memory_order_acquire);
    for (spinner s = {0}; door & DOOR_INSIDE; door = atomic_load_explicit(&pool.door, memory_order_acquire)) {
        if (spin(&s)) continue;
        atomic_fetch_or_explicit(&pool.door, DOOR_AWAITED, memory_order_relaxed);
        pthread_mutex_lock(&pool.lock);
        while (atomic_load_explicit(&pool.door, memory_order_acquire) & DOOR_INSIDE) pthread_cond_wait(&pool.empty, &pool.lock);
        pthread_mutex_unlock(&pool.lock);
        return;
    }
}

static fc_status run_together(ptrdiff_t tasks, fc_task_fn fn, const void *context) {
    const int threads = pool.workers + 1;
    pool.shares = tasks < threads ? (int)tasks : threads;
    for (ptrdiff_t i = 0; i < pool.shares; i++) {
        atomic_store_explicit(&pool.share[i].next, tasks * i / pool.shares, memory_order_relaxed);
        pool.share[i].end = tasks * (i + 1) / pool.shares;
    }
    pool.fn = fn;
    pool.context = context;
    atomic_store_explicit(&pool.status, FC_OK, memory_order_relaxed);
    atomic_fetch_and_explicit(&pool.door, DOOR_INSIDE, memory_order_release);
    announce(tasks - 1 < pool.workers ? (int)(tasks - 1) : pool.workers);
    take_tasks(0);
    wait_until_empty();
    return (fc_status)atomic_load_explicit(&pool.status, memory_order_relaxed);
}

/* A loop that is too short to wake a worker for. They are together, if they take up most of the time. */
static bool worth_waking(double work_ns) {
    const int64_t now = now_ns();
    const int missed = (int)work_ns + atomic_fetch_add_explicit(&pool.missed_ns, (int)work_ns, memory_order_relaxed);
    if (missed < CUTOFF_ASLEEP_NS) {
        if (missed == (int)work_ns) atomic_store_explicit(&pool.missed_since, now, memory_order_relaxed);
        return false;
    }
    atomic_store_explicit(&pool.missed_ns, 0, memory_order_relaxed);
    return now - atomic_load_explicit(&pool.missed_since, memory_order_relaxed) < MISSED_TIMES * missed;
}

static bool worth_sharing(ptrdiff_t tasks, double work_ns) {
    if (tasks < 2 || work_ns < CUTOFF_AWAKE_NS || fc_get_num_threads() < 2) return false;
    return work_ns >= CUTOFF_ASLEEP_NS || atomic_load_explicit(&pool.awake, memory_order_relaxed) > 0 || worth_waking(work_ns);
}

fc_status fc_parallel_for(ptrdiff_t tasks, double work_ns, fc_task_fn fn, const void *context) {
    const unsigned fp = fc_fp_enter();
    fc_status status;
    if (!worth_sharing(tasks, work_ns) || atomic_load_explicit(&pool.busy, memory_order_relaxed) ||
        atomic_exchange_explicit(&pool.busy, true, memory_order_acquire)) {
        status = run_alone(tasks, fn, context);
    } else {
        const int threads = fc_get_num_threads();
        if (pool.resized_to != threads) resize(threads);
        status = run_together(tasks, fn, context);
        atomic_store_explicit(&pool.busy, false, memory_order_release);
    }
    fc_fp_leave(fp);
    return status;
}

/* Exported, so that threadpoolctl finds them. */
__attribute__((visibility("default"))) int fc_get_num_threads(void) {
    int threads = atomic_load_explicit(&pool.wanted, memory_order_relaxed);
    if (!threads) {
        const int available = cpus();
        fc_set_num_threads(available);
        threads = atomic_load_explicit(&pool.wanted, memory_order_relaxed);
    }
    return threads;
}

__attribute__((visibility("default"))) void fc_set_num_threads(int n) {
    atomic_store_explicit(&pool.wanted, n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n, memory_order_relaxed);
}
