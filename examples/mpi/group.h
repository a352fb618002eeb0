/* An s24_group on MPI. */
#ifndef MPI_GROUP_H
#define MPI_GROUP_H
#include <sparse24/model.h>

/* Of all processes that mpirun has started; MPI is initialised. */
void mpi_group_open(s24_group *group);

#endif
