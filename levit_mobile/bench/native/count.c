/* A plugin for qemu-aarch64 (user mode): counts the guest's executed instructions by class, between borders.
 *
 *     cc -O2 -shared -fPIC -DAPI=1 count.c -o count.so
 *     qemu-aarch64 -plugin count.so,out=FILE[,clock=on] ...
 *
 * The guest draws border i by getpgid(0x51450000 + i): a system call that does nothing, with a number that no process has.
 * With clock=on every clock_gettime is a border too: profilers read the clock between two operators.
 *
 * FILE gets one JSON object a line: first {"api", "classes"}, then for every border {"border", "index", "threads", "others",
 * "counts"}: the threads that there are, how many system calls those other than the first have made, and what was executed
 * since the start, in the order of "classes". Threads share their counters without a lock, and none is told apart: what lies
 * between two borders is the first thread's, and exact, only where "others" is the same at both. A thread that wakes makes a
 * system call before it sleeps again. The index of a clock's border is the clock's. At the guest's end comes "exit".
 *
 * API is the version of qemu's plugin interface: 1 (qemu 4.2 to 8.2), 2 (9.0) or 3 (9.1 and newer). Its few functions are
 * declared here, since distributions pack no header: see include/qemu/qemu-plugin.h in qemu's sources.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef API
#define API 1
#endif
#define VISIBLE __attribute__((visibility("default")))

/* What an instruction is. "other" is the rest: integer arithmetic, moves, system. */
enum { SIMD, DOT, SIMD_MEMORY, MEMORY, BRANCH, OTHER, CLASSES };

static const char *const names[CLASSES] = {"simd", "dot", "simd_memory", "memory", "branch", "other"};

static bool is(uint32_t word, uint32_t mask, uint32_t value) { return (word & mask) == value; }

/* Arm Architecture Reference Manual for A-profile, C4.1 "A64 instruction set encoding". */
static int classify(uint32_t word)
{
    if (is(word, 0x0a000000, 0x08000000)) /* loads and stores; bit 26: of a SIMD register */
        return word & 0x04000000 ? SIMD_MEMORY : MEMORY;
    if (is(word, 0x0e000000, 0x0e000000)) {
        bool dot = is(word, 0x9fe0fc00, 0x0e809400)     /* SDOT, UDOT */
                   || is(word, 0x9fc0f400, 0x0f80e000)  /* SDOT, UDOT by element */
                   || is(word, 0xbfe0fc00, 0x0e809c00)  /* USDOT */
                   || is(word, 0xbf40f400, 0x0f00f000)  /* SUDOT, USDOT by element; bit 22 set is BFDOT */
                   || is(word, 0xdfe0fc00, 0x4e80a400)  /* SMMLA, UMMLA */
                   || is(word, 0xffe0fc00, 0x4e80ac00); /* USMMLA */
        return dot ? DOT : SIMD;
    }
    if (is(word, 0x1e000000, 0x04000000)) /* SVE, its loads included */
        return SIMD;
    if (is(word, 0x7c000000, 0x14000000)        /* B, BL */
        || is(word, 0x7c000000, 0x34000000)     /* CBZ, CBNZ, TBZ, TBNZ */
        || is(word, 0xfe000000, 0x54000000)     /* B.cond */
        || is(word, 0xfe000000, 0xd6000000))    /* BR, BLR, RET */
        return BRANCH;
    return OTHER;
}

/* qemu's side. */
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_scoreboard;
typedef struct {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
} scored;
struct about { /* the beginning of qemu_info_t */
    const char *target;
    struct {
        int least, most;
    } version;
};
enum { ADD_U64 = 0 };

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
void qemu_plugin_register_vcpu_init_cb(plugin_id, void (*)(plugin_id, unsigned));
void qemu_plugin_register_vcpu_exit_cb(plugin_id, void (*)(plugin_id, unsigned));
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t,
                                                              uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
#if API < 2
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
#else
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t);
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *, int, scored, uint64_t);
uint64_t qemu_plugin_u64_sum(scored);
#endif
#if API < 3
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#else
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
#endif

VISIBLE int qemu_plugin_version = API;

enum { GETPGID = 155, CLOCK_GETTIME = 113 }; /* system calls of aarch64 Linux */

static FILE *out;
static bool clock_too;
static unsigned threads;
static uint64_t others;

#if API < 2
static uint64_t counters[CLASSES];

static void add(struct qemu_plugin_tb *block, int class, uint64_t many)
{
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &counters[class], many);
}

static uint64_t executed(int class) { return counters[class]; }
#else
static struct qemu_plugin_scoreboard *counters;

static scored counter(int class) { return (scored){counters, class * sizeof(uint64_t)}; }

static void add(struct qemu_plugin_tb *block, int class, uint64_t many)
{
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, ADD_U64, counter(class), many);
}

static uint64_t executed(int class) { return qemu_plugin_u64_sum(counter(class)); }
#endif

static uint32_t word_of(const struct qemu_plugin_insn *instruction)
{
    uint32_t word = 0;
#if API < 3
    memcpy(&word, qemu_plugin_insn_data(instruction), sizeof word);
#else
    qemu_plugin_insn_data(instruction, &word, sizeof word);
#endif
    return word;
}

/* A block is executed from its first instruction to its last, so its classes are added up once, when it is translated. */
static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    uint64_t many[CLASSES] = {0};
    size_t length = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < length; i++)
        many[classify(word_of(qemu_plugin_tb_get_insn(block, i)))]++;
    for (int class = 0; class < CLASSES; class++)
        if (many[class])
            add(block, class, many[class]);
}

static void border(const char *kind, unsigned index)
{
    fprintf(out, "{\"border\":\"%s\",\"index\":%u,\"threads\":%u,\"others\":%" PRIu64 ",\"counts\":[", kind, index, threads,
            others);
    for (int class = 0; class < CLASSES; class++)
        fprintf(out, "%s%" PRIu64, class ? "," : "", executed(class));
    fputs("]}\n", out);
}

static void called(plugin_id id, unsigned thread, int64_t number, uint64_t first, uint64_t a2, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    if (thread != 0)
        __atomic_add_fetch(&others, 1, __ATOMIC_SEQ_CST);
    if (number == GETPGID && (uint32_t)first >> 16 == 0x5145) {
        border("mark", first & 0xffff);
        fflush(out); /* whatever becomes of the guest later */
    } else if (number == CLOCK_GETTIME && clock_too) {
        border("clock", (unsigned)first); /* which clock */
    }
}

static void began(plugin_id id, unsigned thread) { __atomic_add_fetch(&threads, 1, __ATOMIC_SEQ_CST); }

static void left(plugin_id id, unsigned thread) { __atomic_sub_fetch(&threads, 1, __ATOMIC_SEQ_CST); }

static void ended(plugin_id id, void *nothing)
{
    border("exit", 0);
    fclose(out);
}

VISIBLE int qemu_plugin_install(plugin_id id, const struct about *about, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4)) {
            out = fopen(argv[i] + 4, "w");
        } else if (!strcmp(argv[i], "clock=on")) {
            clock_too = true;
        } else if (strcmp(argv[i], "clock=off")) {
            fprintf(stderr, "count: no option %s; there are out=FILE and clock=on\n", argv[i]);
            return -1;
        }
    }
    if (!out) {
        fputs("count: no file to write to; say out=FILE\n", stderr);
        return -1;
    }
    if (strcmp(about->target, "aarch64")) {
        fprintf(stderr, "count: knows the instructions of aarch64, not those of %s\n", about->target);
        return -1;
    }
#if API >= 2
    counters = qemu_plugin_scoreboard_new(CLASSES * sizeof(uint64_t));
#endif
    fprintf(out, "{\"api\":%d,\"classes\":[", API);
    for (int class = 0; class < CLASSES; class++)
        fprintf(out, "%s\"%s\"", class ? "," : "", names[class]);
    fputs("]}\n", out);
    qemu_plugin_register_vcpu_init_cb(id, began);
    qemu_plugin_register_vcpu_exit_cb(id, left);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
