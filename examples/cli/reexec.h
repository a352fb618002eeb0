/* OpenBLAS picks its kernels when it is loaded, and releases older than the processor pick slow
 * ones. */
#ifndef REEXEC_H
#define REEXEC_H

/* To be called first: gives back the cores that were hidden from OpenBLAS while it was loaded, and starts this program anew with
 * OPENBLAS_CORETYPE set if that gives faster kernels and the user has not chosen. Returns if not. */
void reexec_for_blas(char **argv);

#endif
