/* pty.c - runs a command on a terminal of its own: what is read from standard input is typed, what the terminal shows
 * goes to standard output; the end of what is typed hangs up. Ends with the command's status, 128 + its signal when one
 * killed it. For tests/cli/repl.t.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
    perror(what);
    _exit(125);
}

static pid_t start(int master, char **command)
{
    const char *name = ptsname(master);
    pid_t pid = fork();
    if (pid != 0) return pid;
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    setsid();
    int slave = open(name, O_RDWR);
    if (slave < 0 || ioctl(slave, TIOCSCTTY, 0) < 0 || ioctl(slave, TIOCSWINSZ, &size) < 0) fail("pty: terminal");
    for (int fd = 0; fd < 3; fd++) dup2(slave, fd);
    if (slave > 2) close(slave);
    close(master);
    /* As a terminal starts it, whatever this was started with: a hang-up must end it. */
    signal(SIGHUP, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    execvp(command[0], command);
    fail(command[0]);
}

/* Moves what there is; 0 at the end. */
static int move(int from, int to)
{
    char buf[4096];
    ssize_t n = read(from, buf, sizeof buf);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    for (ssize_t done = 0; done < n;) {
        ssize_t w = write(to, buf + done, (size_t)(n - done));
        if (w < 0 && errno != EINTR) return 0;
        if (w > 0) done += w;
    }
    return n > 0;
}

int main(int argc, char **argv)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status = 0;
    if (argc < 2 || master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) fail("pty");
    pid_t pid = start(master, argv + 1);
    if (pid < 0) fail("pty: fork");
    struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = master, .events = POLLIN}};
    for (;;) {
        if (poll(p, 2, -1) < 0 && errno != EINTR) break;
        if (p[0].revents && !move(STDIN_FILENO, master)) break; /* whoever types has left */
        if (p[1].revents && !move(master, STDOUT_FILENO)) break;
    }
    close(master); /* hangs up */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
