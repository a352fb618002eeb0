/* A group whose ranks are threads of one process, for tests: no MPI is needed. What each rank is
 * sent is counted. A rank may be told to fail at its n-th call. */
#ifndef S24_TESTS_THREAD_GROUP_H
#define S24_TESTS_THREAD_GROUP_H
#include <pthread.h>
#include <sparse24/model.h>
#include <stdbool.h>
#include <string.h>

enum { GROUP_MOST = 8 };

typedef struct thread_group {
    pthread_mutex_t lock;
    pthread_cond_t all_here;
    int size, waiting, generation;
    bool broken; /* nobody waits any more */
    const void *sent[GROUP_MOST];
} thread_group;

typedef struct thread_rank {
    thread_group *group;
    int rank;
    double received;
    int calls, failing; /* failing: the call that fails; 0: none */
} thread_rank;

static inline void group_open(thread_group *g, int size)
{
    *g = (thread_group){.size = size};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->all_here, NULL);
}

static inline void group_close(thread_group *g)
{
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->all_here);
}

static inline void group_break(void *user, const char *text)
{
    thread_group *g = ((thread_rank *)user)->group;
    (void)text;
    pthread_mutex_lock(&g->lock);
    g->broken = true;
    pthread_cond_broadcast(&g->all_here);
    pthread_mutex_unlock(&g->lock);
}

/* 0 when all are here; else the group is broken. */
static inline int group_wait(thread_group *g)
{
    pthread_mutex_lock(&g->lock);
    int generation = g->generation;
    if (++g->waiting == g->size) {
        g->waiting = 0;
        g->generation++;
        pthread_cond_broadcast(&g->all_here);
    }
    while (!g->broken && generation == g->generation)
        pthread_cond_wait(&g->all_here, &g->lock);
    int answer = g->broken;
    pthread_mutex_unlock(&g->lock);
    return answer;
}

static inline int group_begin(thread_rank *r, const void *data)
{
    if (++r->calls == r->failing)
        return 7;
    r->group->sent[r->rank] = data;
    return group_wait(r->group);
}

static inline int32_t group_exchange(void *user, const void *send, void *receive, size_t bytes)
{
    thread_rank *r = user;
    int answer = group_begin(r, send);
    for (int i = 0; !answer && i < r->group->size; i++)
        memcpy((char *)receive + (size_t)i * bytes,
               (const char *)r->group->sent[i] + (size_t)r->rank * bytes, bytes);
    r->received += (double)(r->group->size - 1) * (double)bytes;
    return answer ? answer : group_wait(r->group);
}

static inline int32_t group_gather(void *user, const void *send, void *receive, size_t bytes)
{
    thread_rank *r = user;
    int answer = group_begin(r, send);
    for (int i = 0; !answer && i < r->group->size; i++)
        memcpy((char *)receive + (size_t)i * bytes, r->group->sent[i], bytes);
    r->received += (double)(r->group->size - 1) * (double)bytes;
    return answer ? answer : group_wait(r->group);
}

static inline int32_t group_broadcast(void *user, void *data, size_t bytes, int32_t root)
{
    thread_rank *r = user;
    int answer = group_begin(r, data);
    if (!answer && r->rank != root)
        memcpy(data, r->group->sent[root], bytes);
    r->received += r->rank == root ? 0 : (double)bytes;
    return answer ? answer : group_wait(r->group);
}

static inline s24_group group_table(thread_rank *r)
{
    return (s24_group){.user = r,
                       .rank = r->rank,
                       .size = r->group->size,
                       .exchange = group_exchange,
                       .gather = group_gather,
                       .broadcast = group_broadcast,
                       .abort = group_break};
}

#endif
