#include "parallel.h"
#include "error.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

/* Rounds of watching for work before a thread sleeps: some 40 us, the cost of a wake-up. */
enum { SPINS = 1000 };

/* True on a thread that is inside a task, ours or the host's: loops begun there run serially. */
static _Thread_local bool inside_task;

typedef struct helper {
    s24i_pool *pool;
    pthread_t thread;
    int32_t worker;
} helper;

struct s24i_pool {
    s24i_memory *memory;
    s24i_pool *previous; /* the parent process's, dead here but perhaps still looked at */
    pid_t pid;           /* the process that the threads live in */
    int32_t room, helpers;
    bool started;         /* under busy */
    pthread_mutex_t busy; /* held by the caller whose job runs */

    pthread_mutex_t lock; /* of all below that is not atomic */
    pthread_cond_t wake, idle;
    s24_task_fn task;
    void *arg;
    int64_t count;
    bool open; /* helpers may still join the job */
    bool quit;
    int32_t sleeping;
    _Atomic int32_t active;  /* helpers in the job; written under lock */
    _Atomic uint32_t posted; /* jobs so far; written under lock */
    _Atomic int64_t next;    /* index to hand out */
    helper helper[];
};

int32_t s24i_cores(void)
{
    unsigned long mask[1024]; /* 65536 processors; CPU_ALLOC would call malloc */

    if (sched_getaffinity(0, sizeof mask, (cpu_set_t *)mask))
        return 1;
    return CPU_COUNT_S(sizeof mask, (cpu_set_t *)mask);
}

int32_t s24i_workers(const s24i_threads *threads)
{
    int32_t workers = threads->host ? threads->host_workers : threads->count;

    return workers > 1 ? workers : 1;
}

bool s24i_inside_task(void)
{
    return inside_task;
}

static void pause_briefly(void)
{
#if defined __x86_64__
    __asm__ volatile("pause");
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static void drain(s24i_pool *pool, int32_t worker)
{
    int64_t i;

    while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < pool->count)
        pool->task(pool->arg, i, worker);
}

/* Wait for a job other than number *seen and take part in it; false when the pool closes. */
static bool join_job(s24i_pool *pool, uint32_t *seen)
{
    for (int i = 0; i < SPINS && atomic_load(&pool->posted) == *seen; i++)
        pause_briefly();
    pthread_mutex_lock(&pool->lock);
    while (!pool->quit && (!pool->open || atomic_load(&pool->posted) == *seen)) {
        pool->sleeping++;
        pthread_cond_wait(&pool->wake, &pool->lock);
        pool->sleeping--;
    }
    bool joined = !pool->quit;
    if (joined) {
        *seen = atomic_load(&pool->posted);
        atomic_fetch_add(&pool->active, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return joined;
}

static void leave_job(s24i_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (atomic_fetch_sub(&pool->active, 1) == 1)
        pthread_cond_signal(&pool->idle);
    pthread_mutex_unlock(&pool->lock);
}

static void *help(void *arg)
{
    helper *self = arg;
    uint32_t seen = 0;

    inside_task = true;
    while (join_job(self->pool, &seen)) {
        drain(self->pool, self->worker);
        leave_job(self->pool);
    }
    return NULL;
}

static void dismiss(s24i_threads *threads, int32_t helpers)
{
    if (threads->part)
        threads->part(helpers);
}

/* With a stack of our choice: the default may be anything (ulimit -s). */
static bool start_helper(helper *h)
{
    pthread_attr_t how;

    if (pthread_attr_init(&how))
        return false;
    bool started =
        !pthread_attr_setstacksize(&how, S24I_STACK) && !pthread_create(&h->thread, &how, help, h);
    pthread_attr_destroy(&how);
    return started;
}

/* Fewer threads than wanted are no error. Signals are for the host's threads. */
static void start_helpers(s24i_threads *threads, s24i_pool *pool)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->helpers < pool->room && (!threads->hire || threads->hire())) {
        helper *h = &pool->helper[pool->helpers];
        h->pool = pool;
        h->worker = pool->helpers + 1;
        if (!start_helper(h)) {
            dismiss(threads, 1);
            break;
        }
        pool->helpers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pool->started = true;
}

static void post_job(s24i_pool *pool, s24_task_fn task, void *arg, int64_t count)
{
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->arg = arg;
    pool->count = count;
    pool->open = true;
    atomic_store(&pool->next, 0);
    atomic_fetch_add(&pool->posted, 1);
    int64_t wanted = pool->sleeping < count - 1 ? pool->sleeping : count - 1;
    pthread_mutex_unlock(&pool->lock);
    while (wanted-- > 0)
        pthread_cond_signal(&pool->wake);
}

/* Close the job to helpers that have not come yet and wait for those in it. */
static void end_job(s24i_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->open = false;
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < SPINS && atomic_load(&pool->active); i++)
        pause_briefly();
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->active))
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static size_t pool_size(int32_t room)
{
    return sizeof(s24i_pool) + s24i_mul((size_t)room, sizeof(helper));
}

static s24i_pool *make_pool(s24i_threads *threads, s24i_pool *previous)
{
    int32_t room = threads->count - 1;
    s24i_pool *pool = s24i_alloc_zero(threads->memory, pool_size(room));

    if (!pool)
        return NULL;
    pool->memory = threads->memory;
    pool->previous = previous;
    pool->pid = getpid();
    pool->room = room;
    pthread_mutex_init(&pool->busy, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);
    return pool;
}

static void free_pool(s24i_threads *threads, s24i_pool *pool)
{
    /* What fork() copied may be locked or waited on by threads that are not here. */
    if (pool->pid == getpid()) {
        pthread_cond_destroy(&pool->idle);
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->lock);
        pthread_mutex_destroy(&pool->busy);
    }
    dismiss(threads, pool->helpers);
    s24i_free(pool->memory, pool, pool_size(pool->room));
}

static void stop_helpers(s24i_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    atomic_fetch_add(&pool->posted, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int32_t i = 0; i < pool->helpers; i++)
        pthread_join(pool->helper[i].thread, NULL);
}

void s24i_threads_stop(s24i_threads *threads)
{
    s24i_pool *pool = atomic_exchange(&threads->pool, NULL);

    while (pool) {
        s24i_pool *previous = pool->previous;
        if (pool->pid == getpid())
            stop_helpers(pool);
        free_pool(threads, pool);
        pool = previous;
    }
}

/* This process's pool. Several threads may want the first one at once: one wins. */
static s24i_pool *get_pool(s24i_threads *threads)
{
    s24i_pool *pool = atomic_load(&threads->pool);

    while (!pool || pool->pid != getpid()) {
        s24i_pool *made = make_pool(threads, pool);
        if (!made)
            return NULL;
        if (atomic_compare_exchange_strong(&threads->pool, &pool, made))
            return made;
        free_pool(threads, made);
    }
    return pool;
}

static void run_serially(s24_task_fn task, void *arg, int64_t count)
{
    bool outer = inside_task;

    inside_task = true;
    for (int64_t i = 0; i < count; i++)
        task(arg, i, 0);
    inside_task = outer;
}

static void run_on_pool(s24i_threads *threads, s24i_pool *pool, s24_task_fn task, void *arg,
                        int64_t count)
{
    if (!pool->started)
        start_helpers(threads, pool);
    post_job(pool, task, arg, count);
    inside_task = true;
    drain(pool, 0);
    inside_task = false;
    end_job(pool);
}

/* A loop on the host's runner; lives on the caller's stack. */
typedef struct host_loop {
    s24_task_fn task;
    void *arg;
    int64_t count;
    int32_t workers;
    _Atomic int64_t ran;
    _Atomic uint64_t sum; /* of mixed(index) over those */
    _Atomic bool strayed, shared;
    _Atomic bool busy[S24I_MAX_WORKERS]; /* the worker is in a task */
} host_loop;

/* Far from linear (Steele et al. 2014, SplitMix64), so that sums over equally many indices differ
 * unless the indices are the same. */
static uint64_t mixed(int64_t index)
{
    uint64_t z = (uint64_t)index + 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static bool ran_each_once(const host_loop *loop)
{
    uint64_t sum = 0;

    for (int64_t i = 0; i < loop->count; i++)
        sum += mixed(i);
    return atomic_load(&loop->ran) == loop->count && atomic_load(&loop->sum) == sum;
}

static void host_task(void *arg, int64_t index, int32_t worker)
{
    host_loop *loop = arg;
    bool outer = inside_task;

    if (index < 0 || index >= loop->count || worker < 0 || worker >= loop->workers) {
        atomic_store(&loop->strayed, true);
        return;
    }
    if (atomic_exchange(&loop->busy[worker], true)) {
        atomic_store(&loop->shared, true);
        return;
    }
    inside_task = true;
    loop->task(loop->arg, index, worker);
    inside_task = outer;
    atomic_store(&loop->busy[worker], false);
    atomic_fetch_add(&loop->ran, 1);
    atomic_fetch_add(&loop->sum, mixed(index));
}

static s24_status run_on_host(s24i_threads *threads, s24_task_fn task, void *arg, int64_t count)
{
    host_loop loop = {.task = task, .arg = arg, .count = count, .workers = s24i_workers(threads)};
    int32_t answer = threads->host(threads->host_user, host_task, &loop, count, loop.workers);

    if (answer) {
        bool known = (answer < 0 && answer >= S24_E_INTERNAL) || answer <= S24_E_USER;
        return s24i_fail(known ? answer : S24_E_BACKEND, "the host's parallel runner answered %d",
                         (int)answer);
    }
    if (atomic_load(&loop.strayed))
        return s24i_fail(S24_E_BACKEND,
                         "the host's parallel runner used an index outside 0 .. %lld or a worker "
                         "outside 0 .. %d",
                         (long long)count - 1, (int)loop.workers - 1);
    if (atomic_load(&loop.shared))
        return s24i_fail(S24_E_BACKEND,
                         "the host's parallel runner ran two tasks at once with one worker number");
    if (!ran_each_once(&loop))
        return s24i_fail(S24_E_BACKEND,
                         "the host's parallel runner ran %lld tasks of %lld, or some twice and "
                         "others never",
                         (long long)atomic_load(&loop.ran), (long long)count);
    return S24_OK;
}

s24_status s24i_parallel(s24i_threads *threads, s24_task_fn task, void *arg, int64_t count)
{
    if (inside_task || count <= 1 || s24i_workers(threads) == 1) {
        run_serially(task, arg, count);
        return S24_OK;
    }
    if (threads->host)
        return run_on_host(threads, task, arg, count);
    s24i_pool *pool = get_pool(threads);
    if (!pool)
        return S24_E_MEMORY;
    if (pthread_mutex_trylock(&pool->busy)) {
        run_serially(task, arg, count);
        return S24_OK;
    }
    run_on_pool(threads, pool, task, arg, count);
    pthread_mutex_unlock(&pool->busy);
    return S24_OK;
}

void s24i_keep_minimum(_Atomic int64_t *place, int64_t value)
{
    int64_t seen = atomic_load(place);

    while (value < seen && !atomic_compare_exchange_weak(place, &seen, value)) {
    }
}

void s24i_keep_maximum(_Atomic int64_t *place, int64_t value)
{
    int64_t seen = atomic_load(place);

    while (value > seen && !atomic_compare_exchange_weak(place, &seen, value)) {
    }
}
