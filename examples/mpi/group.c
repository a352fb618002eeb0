#include "group.h"
#include <limits.h>
#include <mpi.h>
#include <stdio.h>

/* Counts of MPI are ints. */
static int32_t exchange(void *user, const void *send, void *receive, size_t bytes)
{
    (void)user;
    return bytes > INT_MAX ? MPI_ERR_COUNT
                           : MPI_Alltoall(send, (int)bytes, MPI_BYTE, receive, (int)bytes, MPI_BYTE,
                                          MPI_COMM_WORLD);
}

static int32_t gather(void *user, const void *send, void *receive, size_t bytes)
{
    (void)user;
    return bytes > INT_MAX ? MPI_ERR_COUNT
                           : MPI_Allgather(send, (int)bytes, MPI_BYTE, receive, (int)bytes,
                                           MPI_BYTE, MPI_COMM_WORLD);
}

/* What a rank has solved may be more: piece by piece. */
static int32_t broadcast(void *user, void *data, size_t bytes, int32_t root)
{
    const size_t piece = (size_t)1 << 30;
    int status = MPI_SUCCESS;
    (void)user;
    for (size_t at = 0; !status && at < bytes; at += piece) {
        int count = (int)(bytes - at < piece ? bytes - at : piece);
        status = MPI_Bcast((char *)data + at, count, MPI_BYTE, root, MPI_COMM_WORLD);
    }
    return status;
}

static void end_all(void *user, const char *text)
{
    (void)user;
    fprintf(stderr, "sparse24: %s\n", text);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

void mpi_group_open(s24_group *group)
{
    int rank, size;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    *group = (s24_group){.rank = rank,
                         .size = size,
                         .exchange = exchange,
                         .gather = gather,
                         .broadcast = broadcast,
                         .abort = end_all};
}
