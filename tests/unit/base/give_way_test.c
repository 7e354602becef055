/* SPDX-License-Identifier: MIT
 *
 * Giving way: a thread that waits for another on its own processor, and does nothing but give way, sees it
 * come. Two threads that each wait for the other's next word are done only if both get their turns.
 */
#include "cortex/base.h"

#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define WORDS 10

static atomic_int word;

static void *answer(void *arg)
{
    cx_gives_way(true);
    for (int i = 0; i < WORDS; i++) {
        while (atomic_load(&word) != 2 * i + 1) {
            cx_give_way();
        }
        atomic_store(&word, 2 * i + 2);
    }
    cx_gives_way(false);
    return arg;
}

TEST(threads_on_one_processor_give_way_to_each_other)
{
    cpu_set_t before;
    cpu_set_t one;
    REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &before)) {
        cpu++;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    pthread_t other; /* inherits the processor */
    REQUIRE(pthread_create(&other, NULL, answer, NULL) == 0);
    cx_gives_way(true);
    for (int i = 0; i < WORDS; i++) {
        atomic_store(&word, 2 * i + 1);
        while (atomic_load(&word) != 2 * i + 2) {
            cx_give_way();
        }
    }
    cx_gives_way(false);
    REQUIRE(pthread_join(other, NULL) == 0);
    EXPECT_INT(atomic_load(&word), 2 * WORDS);
    REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}
