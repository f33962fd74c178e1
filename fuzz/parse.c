/* The parser as Cython generates it, with its static functions given external names for target.c. */
#include "_smf.c"

void fuzz_song_init(struct __pyx_t_8rollcore_4_smf_Song *song) { __pyx_f_8rollcore_4_smf_song_init(song); }

void fuzz_song_free(struct __pyx_t_8rollcore_4_smf_Song *song) { __pyx_f_8rollcore_4_smf_song_free(song); }

int fuzz_song_parse(struct __pyx_t_8rollcore_4_smf_Song *song, uint8_t const *data, Py_ssize_t size) {
  return __pyx_f_8rollcore_4_smf_song_parse(song, data, size);
}
