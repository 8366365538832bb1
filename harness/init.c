// SPDX-License-Identifier: GPL-2.0
/*
 * The first process of a test machine: loads every module in /tests, runs the
 * programs there that its arguments name, or all of them, and powers the machine
 * off. An argument may have options for its program: "name:-t:case". The kernel
 * hands on what follows "--" on its command line. With the argument "shell" it
 * leaves the machine to the user instead, until the shell ends.
 *
 * All output goes through /dev/kmsg, a line at a time, so that it cannot be
 * torn by what the kernel prints meanwhile, and one log holds both in order.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <ftw.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "guest.h"

#define COUNTS "/sys/kernel/debug/gcov"

static char **wanted;
static int nr_wanted;

static void mount_or_say(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) && errno != EBUSY)
		say("harness: mount %s on %s: %s", type, where, strerror(errno));
}

static void load_or_say(const char *path)
{
	if (load_module(path))
		say("harness: load %s: %s", path, strerror(errno));
}

/* How to run a program, as an argument vector; none if it is not wanted. */
static char **wanted_arguments(const char *path)
{
	const char *name = strrchr(path, '/') + 1;
	size_t len = strlen(name);
	int i;

	for (i = 0; i < nr_wanted; i++)
		if (!strncmp(name, wanted[i], len) && strchr(":", wanted[i][len]))
			break;
	if (nr_wanted && i == nr_wanted)
		return NULL;

	return split_arguments(nr_wanted ? wanted[i] : name);
}

/* Hand on what the test prints, and say how it ended. */
static void run_test(const char *path)
{
	char **arguments = wanted_arguments(path);
	char line[900];
	int status = 0;
	FILE *output;
	pid_t pid;

	if (is_module(path) || !arguments)
		return;
	say("harness: begin %s", path);
	output = start_program(path, arguments, &pid);
	if (!output) {
		say("harness: pipe: %s", strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), output)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0])
			say("%s", line);
	}
	fclose(output);
	waitpid(pid, &status, 0);
	if (WIFEXITED(status))
		say("harness: end %s exit %d", path, WEXITSTATUS(status));
	else
		say("harness: end %s signal %d", path, WTERMSIG(status));
}

/*
 * Have the kernel look for memory that nobody refers to, if it can. It does not
 * report what is younger than five seconds, nor what has changed since it looked
 * there before, so that it has to look twice.
 */
static void find_leaks(void)
{
	char line[900];
	FILE *file;
	int i;

	file = fopen("/sys/kernel/debug/kmemleak", "r+");
	if (!file)
		return;
	sleep(6);
	for (i = 0; i < 2; i++) {
		fputs("scan\n", file);
		fflush(file);
	}
	rewind(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		say("harness: kmemleak: %s", line);
	}
	fclose(file);
}

/*
 * Hand on what one object of the kernel has counted: hexadecimal has none of the
 * words that anybody looks for in a log.
 */
static int show_counts(const char *path, const struct stat *status, int type,
		       struct FTW *walk)
{
	unsigned char data[400];
	char line[2 * sizeof(data) + 1];
	size_t len = strlen(path), got, i, size = 0;
	FILE *file;

	if (type != FTW_F || len < 5 || strcmp(path + len - 5, ".gcda"))
		return 0;
	file = fopen(path, "r");
	while (file && (got = fread(data, 1, sizeof(data), file))) {
		for (i = 0; i < got; i++)
			sprintf(line + 2 * i, "%02x", data[i]);
		say("harness: gcov %s", line);
		size += got;
	}
	if (file)
		fclose(file);
	/* Less the directory, this is where the object was built. */
	say("harness: gcov end %s %zu", path + strlen(COUNTS), size);
	return 0;
}

/* Lockdep turns itself off when it cannot go on, and then has nothing to report. */
static void check_lockdep(void)
{
	char line[900];
	FILE *file;
	int on;

	file = fopen("/proc/lockdep_stats", "r");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " debug_locks: %d", &on) == 1 && !on)
			say("harness: lockdep is turned off");
	fclose(file);
}

/* So does dma-debug, which says so once: a test may have made it say so before. */
static void check_dma_debug(void)
{
	FILE *file = fopen("/sys/kernel/debug/dma-api/disabled", "r");

	if (!file)
		return;
	if (fgetc(file) == 'Y')
		say("harness: dma-debug is turned off");
	fclose(file);
}

/* Give the user a shell on the console, with job control. */
static void run_shell(void)
{
	static char *const install[] = { "busybox", "--install", "-s", "/bin", NULL };
	static char *const shell[] = { "busybox", "setsid", "cttyhack", "/bin/sh", NULL };
	static char *const environment[] = { "PATH=/bin:/tests", "HOME=/", "TERM=linux", NULL };
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid) {
		execve("/bin/busybox", install, environment);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (status) {
		puts("harness: there is no busybox that works, and so no shell");
		return;
	}

	puts("\nThe modules are loaded, and the tests are in /tests: dma_coherent runs the first.\n"
	     "The machine powers off when you leave: exit, or Ctrl-A X to end QEMU at once.\n");
	pid = fork();
	if (!pid) {
		chdir("/tests");
		execve("/bin/busybox", shell, environment);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	int shell = argc == 2 && !strcmp(argv[1], "shell");

	wanted = argv + 1;
	nr_wanted = argc - 1;

	mkdir("/dev", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	open_log();
	say("harness: user space");
	mount_or_say("proc", "/proc");
	mount_or_say("sysfs", "/sys");
	mount_or_say("debugfs", "/sys/kernel/debug");
	mount_or_say("tracefs", "/sys/kernel/tracing");

	for_each_file("/tests", load_or_say);
	if (shell) {
		run_shell();
	} else {
		for_each_file("/tests", run_test);
		find_leaks();
		check_lockdep();
		check_dma_debug();
		/* There if the kernel is one that counts. */
		nftw(COUNTS, show_counts, 16, FTW_PHYS);
	}

	say("harness: done");
	sync();
	/* The console of s390x keeps a line until there is another one. */
	usleep(100000);
	say("harness: power off");
	reboot(RB_POWER_OFF);
	return 1;
}
