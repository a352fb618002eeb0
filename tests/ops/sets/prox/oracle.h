/* Minima of the proximal objectives found without any of the library's mathematics: by grids and by
 * descent. Knows no library code. */
#ifndef TEST_ORACLE_H
#define TEST_ORACLE_H
#include <stdint.h>

enum { ORACLE_MAX = 64 };

/* 1/2 |w - z|^2 + lambda * (sum over all triples or pairs of |products|), times lambda^2 for
 * triples: that is 1/2 |u - y|^2 + e3(u) with
 * y = lambda |z|, u = lambda |w|. */
long double triples_objective(const double *z, const double *w, int32_t m, double lambda);
long double pairs_objective(const double *z, const double *w, int32_t m, double lambda);
/* 1/2 of the same |y|^2, to which gaps are relative. */
long double triples_scale(const double *z, int32_t m, double lambda);

/* The least triples_objective for m = 4: a grid over the two smallest, the other two minimised
 * exactly, then finer and finer grids around the best places. */
long double grid_minimum(const double *z, double lambda);
/* Cyclic coordinate descent from `starts` points, each supported on another random set; for any
 * m. */
long double triples_descent(const double *z, int32_t m, double lambda, int starts, uint64_t seed);
long double pairs_descent(const double *z, int32_t m, double lambda, int starts, uint64_t seed);

#endif
