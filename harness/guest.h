/* SPDX-License-Identifier: GPL-2.0 */
/* What init and run_mutants, the two programs that run tests on a machine, share. */

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int kmsg = -1;

static void open_log(void)
{
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

/* A line in the log of the kernel. */
static void say(const char *format, ...)
{
	char line[900];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len >= (int)sizeof(line))
		len = sizeof(line) - 1;
	if (write(kmsg, line, len) < 0)
		puts(line);
}

static void for_each_file(const char *directory, void (*action)(const char *))
{
	struct dirent **entries;
	char path[512];
	int i, count;

	count = scandir(directory, &entries, NULL, alphasort);
	for (i = 0; i < count; i++) {
		if (entries[i]->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", directory,
				 entries[i]->d_name);
			action(path);
		}
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

static int is_module(const char *path)
{
	size_t len = strlen(path);

	return len > 3 && !strcmp(path + len - 3, ".ko");
}

/* Load a file if it is a module; not zero if that fails, and errno says why. */
static int load_module(const char *path)
{
	int fd, wrong;

	if (!is_module(path))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	wrong = fd < 0 || syscall(SYS_finit_module, fd, "", 0);
	if (fd >= 0)
		close(fd);
	return wrong;
}

/* The argument vector of a program with options, "name:-t:case": of the latest call. */
static char **split_arguments(const char *words)
{
	static char *arguments[32];
	static char text[900];
	size_t count = 0;

	snprintf(text, sizeof(text), "%s", words);
	arguments[count] = strtok(text, ":");
	while (arguments[count] && count < sizeof(arguments) / sizeof(arguments[0]) - 1)
		arguments[++count] = strtok(NULL, ":");
	arguments[count] = NULL;
	return arguments;
}

/* What the program prints, to be read to its end before it is waited for. */
static FILE *start_program(const char *path, char *const arguments[], pid_t *pid)
{
	int pipefd[2];

	if (pipe(pipefd))
		return NULL;
	*pid = fork();
	if (!*pid) {
		dup2(pipefd[1], STDOUT_FILENO);
		dup2(pipefd[1], STDERR_FILENO);
		close(pipefd[0]);
		close(pipefd[1]);
		execv(path, arguments);
		_exit(127);
	}
	close(pipefd[1]);
	return fdopen(pipefd[0], "r");
}
