/*
 * Runs one command and writes what it cost: wall, user and system time in seconds, peak resident memory in KiB, and
 * its exit status (128 + signal when a signal ended it).
 *
 *     measure RESULT-FILE COMMAND [ARGUMENT...]
 *
 * A program of its own because Linux counts the memory of whoever forked a process into that process's peak: under an
 * interpreter no child could ever show less than the interpreter has. This one has about 1 MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_of(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

int main(int argc, char **argv) {
    struct timespec began, ended;
    struct rusage usage;
    int status;

    if (argc < 3) {
        fputs("usage: measure RESULT-FILE COMMAND [ARGUMENT...]\n", stderr);
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &began);
    pid_t child = fork();
    if (child < 0) {
        perror("measure: fork");
        return 2;
    }
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (wait4(child, &status, 0, &usage) != child) {
        perror("measure: wait4");
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);

    FILE *result = fopen(argv[1], "w");
    if (result == NULL) {
        perror(argv[1]);
        return 2;
    }
    long peak = usage.ru_maxrss;
#ifdef __APPLE__
    peak /= 1024; /* bytes there */
#endif
    fprintf(result, "%.6f %.6f %.6f %ld %d\n",
            (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9,
            seconds_of(usage.ru_utime), seconds_of(usage.ru_stime), peak,
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return fclose(result) == 0 ? 0 : 2;
}
