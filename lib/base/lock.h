/* A mutex, so that only base knows the thread library. */
#ifndef S24I_LOCK_H
#define S24I_LOCK_H
#include <pthread.h>

typedef struct s24i_lock {
    pthread_mutex_t mutex;
} s24i_lock;

#define S24I_LOCK_INIT            \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }

void s24i_lock_init(s24i_lock *lock);
void s24i_lock_fini(s24i_lock *lock);
void s24i_lock_take(s24i_lock *lock);
void s24i_lock_drop(s24i_lock *lock);

#endif
