/* The floor under a build: list a folder, read every file in it, write as many bytes as the dataset has. Nothing else.

   floor FOLDER OUT BYTES THREADS

   Prints "files bytes_read". Files are read whole into a reused buffer; the output is written from a buffer that stays
   in the cache, in 1 MiB pieces at their offsets, by all threads. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

struct file { int folder; char *name; };
static struct file *files;
static size_t n_files, capacity;
static atomic_size_t next_file, next_piece, bytes_read;
static size_t out_bytes;
static int out;

static void list(int folder) {
    DIR *stream = fdopendir(folder);
    struct dirent *entry;
    while ((entry = readdir(stream))) {
        if (entry->d_name[0] == '.') continue;
        if (entry->d_type == DT_DIR) {
            list(openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY));
            continue;
        }
        if (n_files == capacity) files = realloc(files, (capacity = capacity * 2 + 1024) * sizeof *files);
        files[n_files++] = (struct file){folder, strdup(entry->d_name)};
    }
}

static void *work(void *unused) {
    static _Thread_local uint8_t buffer[PIECE];
    size_t i, total = 0;
    ssize_t n;
    while ((i = next_file++) < n_files) {
        int fd = openat(files[i].folder, files[i].name, O_RDONLY);
        do total += n = read(fd, buffer, PIECE); while (n == PIECE);
        close(fd);
    }
    bytes_read += total;
    memset(buffer, 0x55, PIECE);
    while ((i = next_piece++) * PIECE < out_bytes) {
        size_t left = out_bytes - i * PIECE;
        n = pwrite(out, buffer, left < PIECE ? left : PIECE, (off_t)(i * PIECE));
        if (n < 0) { perror("floor"); exit(1); }
    }
    return unused;
}

int main(int argc, char **argv) {
    pthread_t threads[64];
    int n_threads = argc == 5 ? atoi(argv[4]) : 0;
    if (n_threads < 1 || n_threads > 64) { fprintf(stderr, "usage: floor FOLDER OUT BYTES THREADS\n"); return 2; }
    int top = open(argv[1], O_RDONLY | O_DIRECTORY);
    if (top < 0) { perror(argv[1]); return 1; }
    list(top);
    out_bytes = strtoull(argv[3], NULL, 10);
    out = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (out < 0) { perror(argv[2]); return 1; }
    if (out_bytes) (void)!fallocate(out, 0, 0, (off_t)out_bytes); /* where it is supported, writes get cheaper */
    for (int t = 0; t < n_threads; t++) pthread_create(&threads[t], NULL, work, NULL);
    for (int t = 0; t < n_threads; t++) pthread_join(threads[t], NULL);
    close(out);
    printf("%zu %zu\n", n_files, (size_t)bytes_read);
    return 0;
}
