/* The pre-tokenizers that GGUF files name in tokenizer.ggml.pre; tokenizer.json carries its own.
 * The patterns are those of the models' tokenizer.json, each applied to the pieces of the one
 * before. */
#include "tokenizer.h"
#include <string.h>

#define ENDINGS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SIGNS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(end)                                                                             \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" end "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER \
    "*" end
#define SIGNS_SLASH " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"

#define LLAMA3 ENDINGS "|" WORD "|\\p{N}{1,3}|" SIGNS "|" SPACES
#define QWEN2 ENDINGS "|" WORD "|\\p{N}|" SIGNS "|" SPACES
#define GPT4O CASED(ENDINGS "?") "|\\p{N}{1,3}|" SIGNS_SLASH "|" SPACES
#define HAN "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
#define DEEPSEEK                                             \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" \
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define CJK "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{964}\\x{6d4}\\x{60c})]+"

typedef struct pre {
    const char *names; /* with blanks around each */
    const char *patterns[4];
    bool whole; /* a word that is a piece is not cut */
    bool bos;   /* if the file says nothing */
} pre;

static const pre table[] = {
    {" llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ",
     {LLAMA3},
     true,
     true},
    {" dbrx smaug-bpe glm4 chatglm-bpe ", {LLAMA3}, false, false},
    {" qwen2 deepseek-r1-qwen kormo f2llmv2 stablelm2 hunyuan solar-open megrez grok-2 ",
     {QWEN2},
     false,
     false},
    {" qwen35 ",
     {ENDINGS
      "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES},
     false,
     false},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b mellum2 ",
     {"\\p{N}", S24M_GPT2},
     false,
     false},
    {" gpt-2 phi-2 mpt olmo jais trillion granite-docling jina-es jina-de jina-v2-es jina-v2-de "
     "jina-v1-en jina-v2-code roberta-bpe gigachat a.x-4.0 mellum modern-bert exaone4 ",
     {S24M_GPT2},
     false,
     false},
    {" gpt-4o llama4 kanana2 talkie minimax-m2 ", {GPT4O}, false, false},
    {" tekken ", {CASED("") "|\\p{N}|" SIGNS_SLASH "|" SPACES}, true, true},
    {" deepseek-v3 hunyuan-dense joyai-llm hy_v4 ", {"\\p{N}{1,3}", HAN, DEEPSEEK}, false, false},
    {" deepseek-coder ", {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+|" CJK, "\\p{N}"}, false, false},
    {" falcon ", {"[\\p{P}$+<=>^~|`]+", S24M_GPT2, "[0-9][0-9][0-9]"}, false, false},
    {" poro-chat bloom gpt3-finnish ", {BLOOM}, false, false},
    {" viking ", {BLOOM, "\\p{N}"}, false, false},
    {" bailingmoe bailingmoe2 llada-moe ",
     {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|"
      "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"},
     false,
     false},
    {" seed-coder ",
     {ENDINGS "|" WORD "|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES},
     false,
     false},
    {" superbpe ", {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}, false, false},
};

static const pre *find(const char *name)
{
    char wanted[64];
    size_t length = strlen(name);
    if (!length || length + 3 > sizeof wanted || strchr(name, ' '))
        return NULL;
    memcpy(wanted + 1, name, length);
    wanted[0] = wanted[length + 1] = ' ';
    wanted[length + 2] = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strstr(table[i].names, wanted))
            return table + i;
    return NULL;
}

bool s24m_tokenizer_pre(tokenizer *t, const char *name, const char *file)
{
    const pre *p = find(name);
    if (!p)
        return s24m_wrong(S24_E_UNSUPPORTED,
                          "%s: tokenizer.ggml.pre is '%.40s', which is none of the pre-tokenizers "
                          "in docs/text.md: give the model's tokenizer.json with --tokenizer",
                          file, name);
    bool done = true;
    for (int i = 0; done && i < 4 && p->patterns[i]; i++)
        done = s24m_split_add_cut(&t->split, p->patterns[i], strlen(p->patterns[i]), ISOLATED,
                                  false, file);
    t->merger.whole = p->whole;
    if (p->bos && t->bos >= 0)
        done = done && s24m_ids_add(&t->prefix, t->bos);
    return done;
}
