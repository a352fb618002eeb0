/* The public handle of a model: the network, where it came from, who is in it and who watches. */
#ifndef S24M_HANDLE_H
#define S24M_HANDLE_H
#include "evaluate.h"
#include <sparse24/model.h>

struct s24_model {
    uint32_t magic;
    s24m_model *network;
    char *path;
    char (*names)[S24M_NAME]; /* of all matrices */
    atomic_int busy;
    s24m_watch watch;
    evaluation last;
    bool evaluated;
};

/* S24_E_ARG for NULL and what is no model. */
s24_status s24m_check_model(const s24_model *model, const char *function);
/* One call at a time: S24_E_STATE if one is at work. Leave after S24_OK only. */
s24_status s24m_enter(s24_model *model, const char *function);
void s24m_leave(s24_model *model);

#endif
