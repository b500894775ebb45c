/* For the tests whose processes end by SIGABRT on purpose: they leave no core. */
#ifndef CORE_H
#define CORE_H

#include "check.h"
#include <sys/resource.h>

/* A limit of 0 does not keep the kernel from starting the program that a core_pattern names; 1 does. */
__attribute__((unused)) static void no_core(void)
{
    struct rlimit one = {1, 1}, none = {0, 0};
    CHECK(setrlimit(RLIMIT_CORE, &one) == 0 || setrlimit(RLIMIT_CORE, &none) == 0);
}

#endif
