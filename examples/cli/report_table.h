/* The numbers of a report, one row a matrix, and the charts that are drawn of them. */
#ifndef REPORT_TABLE_H
#define REPORT_TABLE_H
#include "report.h"

/* Columns of numbers, one a matrix, from the records. */
enum { LAYER, ERROR, DENSE, TEST_ERROR, TEST_DENSE, SECONDS, ZEROS, SIZE, COLUMNS };

/* Matrices that sit at the same place of each block. */
enum { KINDS = 16 };

typedef struct table {
    int rows;
    double *column[COLUMNS];
    const char **kind; /* of each row */
    const char *kinds[KINDS];
    int count;
} table;

void table_read(table *t, const report *r);
double table_sum(const table *t, int column);
void table_charts(FILE *out, const table *t);
void table_free(table *t);

#endif
