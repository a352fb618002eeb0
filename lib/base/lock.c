#include "lock.h"

void s24i_lock_init(s24i_lock *lock)
{
    pthread_mutex_init(&lock->mutex, NULL);
}

void s24i_lock_fini(s24i_lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void s24i_lock_take(s24i_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
}

void s24i_lock_drop(s24i_lock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
