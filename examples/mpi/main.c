/* The program `sparse24-mpi`: `sparse24 compress` and `sparse24 eval`, shared by all processes that
 * mpirun starts. docs/distributed.md. */
#include "commands.h"
#include "group.h"
#include "message.h"
#include "progress.h"
#include "ranks.h"
#include "reexec.h"
#include <errno.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

static bool can_share(const command *c)
{
    return c && (!strcmp(c->name, "compress") || !strcmp(c->name, "eval"));
}

static int usage(FILE *stream)
{
    fputs("Usage: mpirun -n RANKS sparse24-mpi compress|eval MODEL [options]\n\n"
          "The options are those of sparse24 compress and sparse24 eval. Every rank needs the "
          "model,\n"
          "the tokens and the output folder under the same name; rank 0 writes.\n\nExample:\n"
          "  mpirun -n 4 sparse24-mpi compress model.gguf --calib wiki.txt --constraints 2:4 "
          "--out small\n",
          stream);
    return stream == stdout ? DONE : WRONG_USAGE;
}

static int run(const s24_group *group, const command *c, int argc, char **argv)
{
    args a = {0};
    int status = args_parse(c, argc, argv, &a);
    a.group = group;
    a.progress = a.progress && !group->rank;
    if (!ranks_ready(&a, !status))
        status = status ? status : FAILED;
    else if (a.help)
        args_usage(c);
    else
        status = c->run(&a);
    args_close(&a);
    return status;
}

int main(int argc, char **argv)
{
    s24_group group;
    int status;
    reexec_for_blas(argv);
    if (MPI_Init(&argc, &argv) != MPI_SUCCESS)
        return FAILED;
    mpi_group_open(&group);
    if (group.rank)
        ranks_quiet();
    else
        progress_tell_signals();
    const command *c = argc > 1 ? command_find(argv[1]) : NULL;
    if (can_share(c))
        status = run(&group, c, argc - 2, argv + 2);
    else if (group.rank)
        status = WRONG_USAGE;
    else
        status = usage(argc > 1 && !strcmp(argv[1], "--help") ? stdout : stderr);
    if (fflush(stdout) && status == DONE) {
        fail("standard output: %s", strerror(errno));
        status = FAILED;
    }
    MPI_Finalize();
    return status;
}
