/* A language model, 2:4 throughout: 10_compress_model MODEL TOKENS.safetensors OUT. The tokens are two matrices, a text a
 * row: "calib", which the weights are fitted on, and "test", whose perplexity is printed. */
#include <sparse24/model.h>
#include <sparse24/sparse24.h>
#include <stdio.h>
#define DO(call) (status = status ? status : (call))

int main(int argc, char **argv)
{
    s24_ctx *ctx = NULL;
    s24_file *file = NULL;
    s24_model *model = NULL;
    s24_compression *work = NULL;
    s24_mat calib, test;
    double before, after;
    if (argc != 4) {
        fprintf(stderr, "Usage: %s MODEL TOKENS.safetensors OUT\n", argv[0]);
        return 2;
    }
    s24_status status = s24_ctx_create(&ctx);
    DO(s24_file_open(ctx, argv[2], &file));
    DO(s24_file_get(file, "calib", &calib));
    DO(s24_file_get(file, "test", &test));
    DO(s24_model_open(ctx, argv[1], &model));
    DO(s24_compression_create(model, &work));
    DO(s24_compression_parse(work, "constraints=2:4,resume=1"));
    DO(s24_compression_set_calibration(work, &calib, "calib"));
    DO(s24_compression_add_evaluation(work, &test, "test"));
    DO(s24_compression_run(work, argv[3]));
    DO(s24_compression_number(work, "perplexity_before", 0, &before));
    DO(s24_compression_number(work, "perplexity_after", 0, &after));
    if (status)
        fprintf(stderr, "%s\n", s24_last_error());
    else
        printf("perplexity %.3f before, %.3f after\n", before, after);
    s24_compression_destroy(work);
    s24_model_destroy(model);
    s24_file_destroy(file);
    s24_ctx_destroy(ctx);
    return status ? 1 : 0;
}
