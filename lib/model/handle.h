/* The public handle of a model: the network, where it came from, and who is in it. */
#ifndef S24M_HANDLE_H
#define S24M_HANDLE_H
#include "model.h"
#include <sparse24/model.h>

struct s24_model {
    s24m_model *network;
    char *path;
    atomic_int busy;
};

/* One call at a time: S24_E_STATE if one is at work. */
s24_status s24m_enter(s24_model *model, const char *function);
void s24m_leave(s24_model *model);

#endif
