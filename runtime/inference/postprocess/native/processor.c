/* Chooses the best compiled instruction set that this processor supports. */

/* Return the instruction set's name, which is the suffix of the names of the functions to call. */
__attribute__((visibility("default"))) const char *instruction_set(void)
{
#if defined __x86_64__
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    int avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx2 && avx512)
        return "avx512";
    if (avx2)
        return "avx2";
#endif
    return "baseline";
}
