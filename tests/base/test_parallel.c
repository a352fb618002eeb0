/* lib/base/parallel.c: loops on our threads, on a host's runner, after fork, without threads. */
#include "../unit.h"
#include "base/parallel.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 5000 };

typedef struct record {
    s24i_threads *threads;
    int64_t count;
    _Atomic int32_t runs[MOST]; /* of each index */
    _Atomic int64_t last[64];   /* index that the worker had before, plus 1 */
    _Atomic int32_t inside[64]; /* tasks running under this worker's number */
    _Atomic int32_t used;       /* bits of worker numbers */
    _Atomic int32_t wrong;
    pthread_t caller;
} record;

static void note(void *arg, int64_t index, int32_t worker)
{
    record *r = arg;

    if (index < 0 || index >= r->count || worker < 0 || worker >= s24i_workers(r->threads)) {
        r->wrong++;
        return;
    }
    r->wrong += r->inside[worker]++ != 0;
    r->wrong += index < r->last[worker];
    r->last[worker] = index + 1;
    r->used |= 1 << worker;
    r->runs[index]++;
    if (worker == 0 && !pthread_equal(pthread_self(), r->caller))
        r->wrong++;
    r->inside[worker]--;
}

static void check_loop(s24i_threads *threads, record *r, int64_t count)
{
    memset(r, 0, sizeof *r);
    r->threads = threads;
    r->count = count;
    r->caller = pthread_self();
    unit_check(s24i_parallel(threads, note, r, count) == S24_OK);
    for (int64_t i = 0; i < count; i++)
        unit_check(r->runs[i] == 1);
    unit_check(r->wrong == 0);
}

START_TEST(every_index_once)
{
    s24i_memory memory;
    unit_heap heap;
    record r;

    unit_memory(&memory, &heap);
    s24i_threads threads = {.memory = &memory, .count = _i};
    ck_assert_int_eq(s24i_workers(&threads), _i ? _i : 1);
    for (int64_t count = 0; count < 20; count++)
        check_loop(&threads, &r, count);
    for (int i = 0; i < 300; i++)
        check_loop(&threads, &r, 100 + i);
    s24i_threads_stop(&threads);
    s24i_threads_stop(&threads);
    unit_check_heap(&memory, &heap);
    threads.count = 2;
    check_loop(&threads, &r, MOST);
    s24i_threads_stop(&threads);
    unit_check_heap(&memory, &heap);
}
END_TEST

/* Every task waits until as many run as there are workers: ends only if all of them take part. */
static void meet(void *arg, int64_t index, int32_t worker)
{
    _Atomic int32_t *here = arg;

    (*here)++;
    while (*here < 3)
        sched_yield();
}

START_TEST(all_workers_take_part)
{
    s24i_memory memory;
    unit_heap heap;
    _Atomic int32_t here = 0;

    unit_memory(&memory, &heap);
    s24i_threads threads = {.memory = &memory, .count = 3};
    ck_assert_int_eq(s24i_parallel(&threads, meet, (void *)&here, 3), S24_OK);
    usleep(20000); /* long enough for the helpers to sleep */
    here = 0;
    ck_assert_int_eq(s24i_parallel(&threads, meet, (void *)&here, 3), S24_OK);
    s24i_threads_stop(&threads);
    unit_check_heap(&memory, &heap);
}
END_TEST

typedef struct nest {
    s24i_threads *threads;
    bool together; /* three workers, the caller among them, meet first */
    _Atomic int32_t inner, wrong, here;
} nest;

typedef struct inner_loop {
    nest *nest;
    pthread_t thread;
    int64_t next;
} inner_loop;

static void inner_task(void *arg, int64_t index, int32_t worker)
{
    inner_loop *l = arg;

    l->nest->wrong +=
        worker != 0 || index != l->next++ || !pthread_equal(l->thread, pthread_self());
    l->nest->inner++;
}

static void outer_task(void *arg, int64_t index, int32_t worker)
{
    nest *n = arg;
    inner_loop l = {n, pthread_self(), 0};

    if (n->together)
        meet((void *)&n->here, index, worker);
    n->wrong += s24i_parallel(n->threads, inner_task, &l, 10) != S24_OK;
}

static void check_nested(s24i_threads *threads, int64_t count)
{
    nest n = {.threads = threads};

    ck_assert_int_eq(s24i_parallel(threads, outer_task, &n, count), S24_OK);
    ck_assert_int_eq(n.inner, 10 * count);
    ck_assert_int_eq(n.wrong, 0);
}

START_TEST(nested_loops_are_serial)
{
    s24i_memory memory;
    unit_heap heap;
    record r;

    unit_memory(&memory, &heap);
    s24i_threads threads = {.memory = &memory, .count = 4};
    check_nested(&threads, 50);
    check_nested(&threads, 1);
    s24i_threads other = {.memory = &memory, .count = 4};
    nest n = {.threads = &other, .together = true}; /* also on a pool that is free */
    ck_assert_int_eq(s24i_parallel(&threads, outer_task, &n, 3), S24_OK);
    ck_assert_int_eq(n.wrong, 0);
    ck_assert_ptr_null(other.pool);
    check_loop(&threads, &r, 1000); /* and the caller is outside again */
    ck_assert_int_eq(s24i_parallel(&threads, meet, (void *)&(_Atomic int32_t){0}, 3), S24_OK);
    s24i_threads_stop(&threads);
    unit_check_heap(&memory, &heap);
}
END_TEST

typedef struct sharer {
    s24i_threads *threads;
    _Atomic int32_t *wrong;
} sharer;

static void add_index(void *arg, int64_t index, int32_t worker)
{
    atomic_fetch_add((_Atomic int64_t *)arg, index + 1);
}

static void *share(void *arg)
{
    sharer *s = arg;

    for (int64_t i = 0; i < 300; i++) {
        _Atomic int64_t sum = 0;
        *s->wrong += s24i_parallel(s->threads, add_index, (void *)&sum, 2 + i % 50) != S24_OK;
        *s->wrong += sum != (2 + i % 50) * (3 + i % 50) / 2;
    }
    return NULL;
}

/* Also: the first use of a pool by several threads at once. */
START_TEST(callers_share_a_pool)
{
    for (int round = 0; round < 5; round++) {
        s24i_memory memory;
        unit_heap heap;
        pthread_t callers[4];
        _Atomic int32_t wrong = 0;

        unit_memory(&memory, &heap);
        s24i_threads threads = {.memory = &memory, .count = 3};
        sharer s = {&threads, &wrong};
        for (int i = 0; i < 4; i++)
            pthread_create(&callers[i], NULL, share, &s);
        for (int i = 0; i < 4; i++)
            pthread_join(callers[i], NULL);
        ck_assert_int_eq(wrong, 0);
        s24i_threads_stop(&threads);
        unit_check_heap(&memory, &heap);
    }
}
END_TEST

static void look_at_signals(void *arg, int64_t index, int32_t worker)
{
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (worker && (!sigismember(&blocked, SIGINT) || !sigismember(&blocked, SIGTERM)))
        (*(_Atomic int32_t *)arg)++;
    meet((_Atomic int32_t *)arg + 1, index, worker);
}

START_TEST(helpers_take_no_signals)
{
    s24i_memory memory;
    _Atomic int32_t state[2] = {0};
    sigset_t before, after;

    s24i_memory_init(&memory, NULL, NULL, NULL);
    s24i_threads threads = {.memory = &memory, .count = 3};
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    ck_assert_int_eq(s24i_parallel(&threads, look_at_signals, (void *)state, 3), S24_OK);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    ck_assert_int_eq(state[0], 0);
    ck_assert_int_eq(sigismember(&before, SIGINT), sigismember(&after, SIGINT));
    s24i_threads_stop(&threads);
}
END_TEST

START_TEST(pool_memory_is_refused)
{
    s24i_memory memory;
    unit_heap heap;
    record r;

    unit_memory(&memory, &heap);
    s24i_threads threads = {.memory = &memory, .count = 2};
    heap.refuse = 1;
    ck_assert_int_eq(s24i_parallel(&threads, note, &r, 5), S24_E_MEMORY);
    unit_check_text("refused");
    check_loop(&threads, &r, 5); /* the next call tries again */
    s24i_threads_stop(&threads);
    unit_check_heap(&memory, &heap);
}
END_TEST

/* In a child, which gives up its rights for it: the limit does not bind root. */
static int without_threads(void)
{
    s24i_memory memory;
    unit_heap heap;
    record r;
    struct rlimit none = {0, 0};

    if ((geteuid() == 0 && setuid(65534)) || setrlimit(RLIMIT_NPROC, &none))
        return 0;
    unit_memory(&memory, &heap);
    s24i_threads threads = {.memory = &memory, .count = 4};
    check_loop(&threads, &r, 1000);
    s24i_threads_stop(&threads);
    return r.used != 1 || heap.blocks;
}

START_TEST(threads_are_refused)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(without_threads());
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* ---- fork; not under sanitizers, whose own locks and thread lists do not survive it ---- */

#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__
#define FORK

static int in_child(s24i_threads *threads, unit_heap *heap)
{
    record r;
    _Atomic int32_t here = 0;

    check_loop(threads, &r, 500);
    if (s24i_parallel(threads, meet, (void *)&here, 3))
        return 1;
    pid_t grandchild = fork();
    if (grandchild == 0) {
        check_loop(threads, &r, 500);
        s24i_threads_stop(threads);
        _exit(heap->blocks != 0);
    }
    int status;
    waitpid(grandchild, &status, 0);
    s24i_threads_stop(threads);
    return status || heap->blocks || atomic_load(&threads->memory->current);
}

START_TEST(pool_is_rebuilt_after_fork)
{
    s24i_memory memory;
    unit_heap heap;
    record r;
    int status;

    unit_memory(&memory, &heap);
    s24i_threads threads = {.memory = &memory, .count = 3};
    check_loop(&threads, &r, 500);
    pid_t child = fork();
    if (child == 0)
        _exit(in_child(&threads, &heap));
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
    check_loop(&threads, &r, 500);
    s24i_threads_stop(&threads);
    unit_check_heap(&memory, &heap);
}
END_TEST

#endif

/* ---- the host's runner ---- */

typedef struct host {
    int32_t answer, worker_shift, calls;
    int64_t skip, stray; /* leave out the last ones; add this to indices */
    int64_t instead[6];  /* pairs: run the second for the first, 0 for none */
} host;

/* Runs backwards in strides, on worker numbers that mean nothing. */
static int32_t permuted(void *user, s24_task_fn task, void *arg, int64_t count, int32_t max_workers)
{
    host *h = user;

    h->calls++;
    for (int64_t start = 0; start < 3; start++) {
        for (int64_t i = count - 1 - start; i >= h->skip; i -= 3) {
            int64_t index = i + h->stray;
            for (int k = 0; k < 6; k += 2)
                index = h->instead[k] && i == h->instead[k] ? h->instead[k + 1] : index;
            task(arg, index, (int32_t)(i % max_workers) + h->worker_shift);
        }
    }
    return h->answer;
}

struct again {
    s24_task_fn task;
    void *arg;
    int runs;
};

static void mark(void *arg, int64_t index, int32_t worker)
{
    ((int32_t *)arg)[index]++;
}

START_TEST(host_runs_in_any_order)
{
    s24i_memory memory;
    host h = {0};
    int32_t runs[40] = {0};

    s24i_memory_init(&memory, NULL, NULL, NULL);
    s24i_threads threads = {
        .memory = &memory, .count = 2, .host = permuted, .host_user = &h, .host_workers = 5};
    ck_assert_int_eq(s24i_workers(&threads), 5);
    ck_assert_int_eq(s24i_parallel(&threads, mark, runs, 40), S24_OK);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(runs[i], 1);
    ck_assert_int_eq(h.calls, 1);
    check_nested(&threads, 20);
    ck_assert_int_eq(h.calls, 2);
    ck_assert_int_eq(s24i_parallel(&threads, mark, runs, 0), S24_OK);
    ck_assert_ptr_null(threads.pool);
    ck_assert_uint_eq(memory.peak, 0);
    threads.host_workers = 0;
    ck_assert_int_eq(s24i_workers(&threads), 1);
    ck_assert_int_eq(s24i_parallel(&threads, mark, runs, 40), S24_OK);
}
END_TEST

START_TEST(host_failures)
{
    static const struct {
        host host;
        int32_t status;
        const char *text;
    } table[] = {
        {{.answer = S24_E_CANCELLED}, S24_E_CANCELLED, "answered -9"},
        {{.answer = S24_E_INTERNAL}, S24_E_INTERNAL, "answered -14"},
        {{.answer = S24_E_USER}, S24_E_USER, "answered -100"},
        {{.answer = -4711}, -4711, "answered -4711"},
        {{.answer = -50}, S24_E_BACKEND, "answered -50"},
        {{.answer = 1}, S24_E_BACKEND, "answered 1"},
        {{.skip = 2}, S24_E_BACKEND, "ran 38 tasks of 40"},
        {{.instead = {7, 8}}, S24_E_BACKEND, "or some twice and others never"},
        /* 1 + 5 + 6 = 2 + 3 + 7, and so are their squares */
        {{.instead = {1, 2, 5, 3, 6, 7}}, S24_E_BACKEND, "or some twice and others never"},
        {{.worker_shift = 1}, S24_E_BACKEND, "worker outside 0 .. 4"},
        {{.stray = 1}, S24_E_BACKEND, "index outside 0 .. 39"},
        {{.stray = -1}, S24_E_BACKEND, "index outside 0 .. 39"},
    };
    s24i_memory memory;
    int32_t runs[40] = {0};

    s24i_memory_init(&memory, NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        host h = table[i].host;
        s24i_threads threads = {
            .memory = &memory, .count = 2, .host = permuted, .host_user = &h, .host_workers = 5};
        ck_assert_int_eq(s24i_parallel(&threads, mark, runs, 40), table[i].status);
        unit_check_text(table[i].text);
    }
}
END_TEST

/* From inside its own task, as a scheduler does that helps out while it waits, on the worker number
 * that is in use. */
static int32_t reentrant(void *user, s24_task_fn task, void *arg, int64_t count,
                         int32_t max_workers)
{
    *(struct again *)user = (struct again){task, arg};
    for (int64_t i = 0; i < count - 1; i++)
        task(arg, i, 0);
    return 0;
}

static void run_last(void *arg, int64_t index, int32_t worker)
{
    struct again *again = arg;

    again->runs++;
    if (index == 0)
        again->task(again->arg, 4, worker);
}

START_TEST(worker_in_use)
{
    s24i_memory memory;
    struct again again = {0};

    s24i_memory_init(&memory, NULL, NULL, NULL);
    s24i_threads threads = {
        .memory = &memory, .host = reentrant, .host_user = &again, .host_workers = 2};
    ck_assert_int_eq(s24i_parallel(&threads, run_last, &again, 5), S24_E_BACKEND);
    unit_check_text("two tasks at once with one worker number");
    ck_assert_int_eq(again.runs, 4);
}
END_TEST

START_TEST(cores)
{
    ck_assert_int_ge(s24i_cores(), 1);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    ck_assert_int_eq(s24i_cores(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parallel");
    TCase *all = tcase_create("parallel");

    tcase_add_loop_test(all, every_index_once, 0, 9);
    tcase_add_test(all, all_workers_take_part);
    tcase_add_test(all, nested_loops_are_serial);
    tcase_add_test(all, callers_share_a_pool);
    tcase_add_test(all, helpers_take_no_signals);
    tcase_add_test(all, pool_memory_is_refused);
    tcase_add_test(all, threads_are_refused);
#ifdef FORK
    tcase_add_test(all, pool_is_rebuilt_after_fork);
#endif
    tcase_add_test(all, host_runs_in_any_order);
    tcase_add_test(all, host_failures);
    tcase_add_test(all, worker_in_use);
    tcase_add_test(all, cores);
    suite_add_tcase(suite, all);
    return unit_run(suite);
}
