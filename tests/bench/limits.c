/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this machine can do at most, now: bytes per second of one connection
 * over loopback TCP and over a UNIX socket, and of one thread that reads, and
 * copies, memory. A benchmark prints it beside what it measures.
 *
 *     limits            one line "NAME BYTES-PER-SECOND" for each
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };
static const size_t total = (size_t)1 << 30;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "limits: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static uint8_t *touched_memory(void)
{
    uint8_t *memory = mmap(NULL, total, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        die("mmap");
    memset(memory, 0x5a, total);
    return memory;
}

struct sender {
    int fd;
    const uint8_t *memory;
};

static void *send_all(void *data)
{
    struct sender *sender = data;

    for (size_t at = 0; at < total;) {
        size_t left = total - at < PIECE ? total - at : PIECE;
        ssize_t sent = send(sender->fd, sender->memory + at, left, 0);

        if (sent < 0)
            die("send");
        at += (size_t)sent;
    }
    return NULL;
}

static void stream(const char *name, int from, int to, const uint8_t *source,
                   uint8_t *target)
{
    struct sender sender = {from, source};
    double begun = now();
    pthread_t thread;

    if (pthread_create(&thread, NULL, send_all, &sender) != 0)
        die("pthread_create");
    for (size_t at = 0; at < total;) {
        size_t left = total - at < PIECE ? total - at : PIECE;
        ssize_t got = recv(to, target + at, left, MSG_WAITALL);

        if (got <= 0)
            die("recv");
        at += (size_t)got;
    }
    printf("%s %.0f\n", name, (double)total / (now() - begun));
    pthread_join(thread, NULL);
    close(from);
    close(to);
}

static void tcp_pair(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || ends[0] < 0 ||
        bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 1) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0 ||
        connect(ends[0], (struct sockaddr *)&address, sizeof address) < 0 ||
        (ends[1] = accept(listener, NULL, NULL)) < 0)
        die("loopback TCP");
    close(listener);
}

int main(void)
{
    uint8_t *source = touched_memory(), *target = touched_memory();
    uint64_t sum = 0;
    double begun;
    int ends[2];

    tcp_pair(ends);
    stream("tcp", ends[0], ends[1], source, target);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        die("socketpair");
    stream("unix", ends[0], ends[1], source, target);

    begun = now();
    memcpy(target, source, total);
    printf("copy %.0f\n", (double)total / (now() - begun));

    begun = now();
    for (size_t at = 0; at < total; at += sizeof(uint64_t)) {
        uint64_t word;

        memcpy(&word, source + at, sizeof word);
        sum |= word;
    }
    printf("read %.0f\n", (double)total / (now() - begun));
    return sum == 0; /* so that the sum is needed */
}
