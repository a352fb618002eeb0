/* A compressed model whole in memory, to be trained: its blocks, of which what is trained are
 * parameters of Adam, and where their gradients go. Knows tensors and how they are stored; no
 * losses. */
#ifndef S24M_STUDENT_H
#define S24M_STUDENT_H
#include "adam.h"
#include "composed.h"
#include "matrix.h"
#include "tape.h"
#include "trained.h"

/* What a parameter is in the file; an empty name: one of several of a matrix of parts. */
typedef struct s24m_lesson {
    char name[S24M_NAME];
    int64_t rows, cols; /* rows 1: a vector */
    int32_t store;      /* its type there */
    float less;         /* what is taken off the values that are stored */
} s24m_lesson;

/* What becomes of a matrix of a block. */
typedef struct s24m_choice {
    bool compressed, trains; /* trains: its weights that are not 0, or its parts */
    int32_t store;
    const char *constraints; /* that are known, or NULL */
    codes parts;             /* which it is trained by; without data: by its weights */
} s24m_choice;

/* A matrix that is trained by its parts. */
typedef struct s24m_whole {
    s24m_composed of;
    made_parts made;
    s24m_lesson lesson;
} s24m_whole;

/* Whose model it is: its values, and what of it is trained. */
typedef struct s24m_school {
    /* The block was read from the model's file: put in what it was compressed to, and say of each
     * matrix what becomes of it. *holds: what their parts lie in, to be destroyed, or NULL. */
    bool (*choose)(void *from, s24m_block *block, s24m_choice *choices, s24_file **holds);
    trained_type_fn type; /* in which a vector is stored */
    void *from;
} s24m_school;

/* Gain and shift of the last norm, and their gradients; NULL: it has none. */
typedef struct s24m_head_norm {
    float *gain, *shift, *dgain, *dshift;
} s24m_head_norm;

typedef struct s24m_student {
    s24m_model *model;
    s24m_block *blocks;  /* all of them */
    s24m_gradients *to;  /* of each */
    s24m_head_norm last; /* of the head */
    s24m_whole *wholes;  /* matrices of parts */
    int32_t whole_count;
    s24m_lesson *lessons; /* in the order of Adam's parameters */
    s24m_adam *adam;
    int32_t trained, left; /* compressed matrices that are trained; that stay as they are */
} s24m_student;

/* Read the model and give Adam what is trained. S24_E_STATE: nothing is. */
bool s24m_student_open(s24m_student *s, s24m_model *model, const s24m_school *school,
                       s24m_adam *adam);
/* The weights of matrices of parts from these; the gradients of the parts from theirs. */
bool s24m_student_make(s24m_student *s);
bool s24m_student_spread(s24m_student *s);
/* The best values as they will be stored; *misfit: the name of one that leaves its type's range,
 * else NULL. */
bool s24m_student_round(s24m_student *s, const char **misfit);
/* Write them. */
bool s24m_student_write(const s24m_student *s, s24_file *file);
void s24m_student_close(s24m_student *s);
/* What that takes, with all that Adam keeps; `parts`: some matrices have some. */
uint64_t s24m_student_bytes(const s24m_model *model, bool parts);

#endif
