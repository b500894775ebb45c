/* Runs a program for which two system calls fail with EPERM, or end it if REFUSE_KILLS is set: refuse CALL CALL COMMAND… */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count < 4) return 99;
    struct sock_filter code[] = {
        {0x20, 0, 0, 0},                    /* the call's number */
        {0x15, 1, 0, atoi(words[1])},       /* one of the two: to the refusal */
        {0x15, 0, 1, atoi(words[2])},
        {0x06, 0, 0, getenv("REFUSE_KILLS") ? 0x80000000 : 0x00050001}, /* end, or EPERM */
        {0x06, 0, 0, 0x7fff0000},           /* allowed */
    };
    struct sock_fprog program = {5, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 99;
    execv(words[3], words + 3);
    return 98;
}
