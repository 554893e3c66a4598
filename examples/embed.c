/* A compiled model in a C program:
 *
 *     lazulite build classifier.lzl -o classifier.o --emit obj
 *     cc embed.c classifier.o liblazulite.a -lm -lpthread -ldl -o main
 *     ./main 64 out.raw
 *
 * The model takes pixels f32[batch, 50] and gives classes f32[batch, 10].
 */
#include "classifier.h"
#include <stdio.h>
#include <stdlib.h>

static int fail(int code)
{
    fprintf(stderr, "%s\n", lzl_classifier_error());
    return code;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s BATCH FILE\n", argv[0]);
        return 2;
    }
    lzl_classifier *model = lzl_classifier_open(1);
    if (!model)
        return fail(2);

    int64_t batch = atoll(argv[1]);
    int64_t count = lzl_classifier_elements(model, 0, &batch);
    if (count < 0)
        return fail(2);
    float *pixels = malloc(sizeof(float) * 50 * (size_t)batch);
    float *classes = malloc(sizeof(float) * (size_t)count);
    for (int64_t i = 0; i < 50 * batch; i++)
        pixels[i] = (float)(i % 97) / 97.0f;

    int code = lzl_classifier_call(model, batch, pixels, classes);
    if (code != 0)
        return fail(code);
    FILE *out = fopen(argv[2], "wb");
    if (!out || fwrite(classes, sizeof(float), (size_t)count, out) != (size_t)count || fclose(out))
        return 1;

    lzl_classifier_close(model);
    free(pixels);
    free(classes);
    return 0;
}
