// SPDX-License-Identifier: GPL-2.0
/*
 * Runs KUnit suites and selftests of a machine, with and without mutants. The
 * lines of /mutants.list say which:
 *
 *	survey SUITE			which mutants does the suite reach, how long does it take
 *	group NAME			what follows are mutants of one function
 *	mutant NUMBER LIMIT CHECK SUITE...	does one of the suites notice
 *
 * Suites that have noticed a mutant of the same function are run first, the
 * others in the order in which they are named.
 *
 * A suite is one case of a KUnit suite, "suite.case", or with a slash in front
 * one of a selftest, "/path:-t:case". After CHECK suites that have noticed
 * something they have to pass without a mutant: what one leaves behind must not
 * be taken for another one. If they do not, the machine ends.
 *
 * Writes to the log of the kernel itself, since a mutant may end everything.
 */

#include <sys/wait.h>
#include <time.h>

#include "../guest.h"

#define KUNIT "/sys/kernel/debug/kunit/"
#define MUTANT "/sys/kernel/debug/mutant/"
#define CASE "/sys/module/mutant/parameters/case"
#define MAX_MUTANTS 16384
#define MAX_DIRTY 64
#define MAX_RECENT 6
#define MAX_SUITES 1024

static int passed;

/* A line for whoever reads the log; it has an end, since the console may cut it. */
static void tell(const char *format, ...)
{
	char line[850];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	say("mutant: %s .", line);
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int wrong = fd < 0 || write(fd, text, strlen(text)) < 0;

	if (fd >= 0)
		close(fd);
	if (wrong)
		tell("cannot write %s", path);
	return wrong;
}

static void put_number(const char *path, unsigned int number)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", number);
	put(path, text);
}

static unsigned int get_number(const char *path)
{
	unsigned int number = 0;
	FILE *file = fopen(path, "r");

	if (!file || fscanf(file, "%u", &number) != 1)
		tell("cannot read %s", path);
	if (file)
		fclose(file);
	return number;
}

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The first case that failed, in what a suite has printed; none if it passed. */
static int read_results(FILE *file, char *failed, size_t size)
{
	char line[1024], name[256] = "", test[256] = "";
	int wrong = 0, some = 0, assertions = 0;

	passed = 0;
	while (fgets(line, sizeof(line), file)) {
		const char *text = line + strspn(line, " ");

		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(text, "# outcome:", 10))
			say("%s", text);
		sscanf(text, "# Subtest: %255[^\n]", test);
		if (strstr(text, "EXPECTATION FAILED") || strstr(text, "ASSERTION FAILED"))
			assertions = 1;
		if (!strncmp(text, "ok ", 3) || !strncmp(text, "not ok ", 7))
			some = 1;
		if (!strncmp(text, "ok ", 3) && !strstr(text, "# SKIP"))
			passed++;
		if (strncmp(text, "not ok ", 7) && !(assertions && !strncmp(text, "ok ", 3)))
			continue;
		sscanf(strstr(text, "ok ") + 3, "%*s %255[^\n]", name);
		wrong = 1;
		break;
	}
	/* A program must not be left with a pipe that is full. */
	while (fgets(line, sizeof(line), file))
		;
	snprintf(failed, size, "%s%s%s", !some ? "no results" : test, test[0] && name[0] ? ": " : "",
		 name);
	return wrong || !some;
}

static void try_to_load(const char *path)
{
	load_module(path);
}

static void unload_module(const char *path)
{
	char name[300];

	if (!is_module(path))
		return;
	snprintf(name, sizeof(name), "%s", strrchr(path, '/') + 1);
	*strrchr(name, '.') = '\0';
	syscall(SYS_delete_module, name, O_NONBLOCK);
}

/*
 * The test modules take the devices that selftests work with, and that suites
 * look for; init has loaded them.
 */
static void have_modules(int wanted)
{
	static int there = 1;
	int round;

	if (wanted == there)
		return;
	there = wanted;
	/* One may need another one. */
	for (round = 0; round < 3; round++)
		for_each_file("/tests", wanted ? try_to_load : unload_module);
}

static int run_program(const char *suite, char *failed, size_t size)
{
	char **arguments = split_arguments(suite);
	int status = 0, wrong;
	FILE *output;
	pid_t pid;

	output = start_program(arguments[0], arguments, &pid);
	if (!output)
		return 1;
	wrong = read_results(output, failed, size);
	fclose(output);
	waitpid(pid, &status, 0);
	if (!wrong && !(WIFEXITED(status) &&
			(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 4))) {
		snprintf(failed, size, "ended with status %d", status);
		wrong = 1;
	}
	return wrong;
}

static int run_suite(const char *suite, char *failed, size_t size)
{
	int len = strcspn(suite, ".");
	char path[256];
	FILE *file;
	int wrong;

	/* So that what is said once is said once to every run. */
	put("/sys/kernel/debug/clear_warn_once", "1");
	put("/sys/kernel/debug/dma-api/num_errors", "1");
	have_modules(suite[0] == '/');
	if (suite[0] == '/')
		return run_program(suite, failed, size);
	snprintf(path, sizeof(path), KUNIT "%.*s/run", len, suite);
	if (put(CASE, suite[len] ? suite + len + 1 : "") || put(path, "1")) {
		snprintf(failed, size, "cannot be run");
		return 1;
	}
	snprintf(path, sizeof(path), KUNIT "%.*s/results", len, suite);
	file = fopen(path, "r");
	if (!file) {
		snprintf(failed, size, "no results");
		return 1;
	}
	wrong = read_results(file, failed, size);
	fclose(file);
	return wrong;
}

static size_t read_reached(unsigned int *counts)
{
	int fd = open(MUTANT "reached", O_RDONLY);
	size_t done = 0;
	ssize_t len;

	while ((len = read(fd, (char *)counts + done, MAX_MUTANTS * sizeof(*counts) - done)) > 0)
		done += len;
	close(fd);
	return done / sizeof(*counts);
}

static void survey(const char *suite)
{
	static unsigned int before[MAX_MUTANTS], after[MAX_MUTANTS];
	char failed[300], line[600];
	size_t nr, i, len = 0;
	long start;
	int wrong;

	read_reached(before);
	start = milliseconds();
	tell("survey %s", suite);
	wrong = run_suite(suite, failed, sizeof(failed));
	tell("surveyed %s %ld %d %s %s", suite, milliseconds() - start, passed,
	     wrong ? "failed" : "passed", wrong ? failed : "");
	nr = read_reached(after);
	for (i = 0; i < nr; i++) {
		if (after[i] != before[i])
			len += snprintf(line + len, sizeof(line) - len, " %zu:%u", i,
					after[i] - before[i]);
		if (len > 500 || (len && i == nr - 1)) {
			tell("reached %s%s", suite, line);
			len = 0;
		}
	}
	tell("survey done %s", suite);
}

static char dirty[MAX_DIRTY][200];
static int nr_dirty, nr_noticed;

/* Whether the suites that have noticed something pass without a mutant. */
static int check_clean(void)
{
	char failed[300];
	int i;

	for (i = 0; i < nr_dirty; i++) {
		tell("check %s", dirty[i]);
		if (run_suite(dirty[i], failed, sizeof(failed))) {
			tell("dirty %s %s", dirty[i], failed);
			return 1;
		}
	}
	nr_dirty = nr_noticed = 0;
	tell("clean");
	return 0;
}

static void remember(const char *suite)
{
	int i;

	nr_noticed++;
	for (i = 0; i < nr_dirty; i++)
		if (!strcmp(dirty[i], suite))
			return;
	if (nr_dirty < MAX_DIRTY)
		snprintf(dirty[nr_dirty++], sizeof(dirty[0]), "%s", suite);
}

static char recent[MAX_RECENT][200];

static int recency(const char *suite)
{
	int i;

	for (i = 0; i < MAX_RECENT; i++)
		if (!strcmp(recent[i], suite))
			break;
	return i;
}

static void make_recent(const char *suite)
{
	int i = recency(suite);

	if (i == MAX_RECENT)
		i--;
	memmove(recent[1], recent[0], i * sizeof(recent[0]));
	snprintf(recent[0], sizeof(recent[0]), "%s", suite);
}

/* The suites in the order in which to run them. */
static int order(char *words, char **suites)
{
	static char *named[MAX_SUITES];
	int i, rank, count = 0, nr = 0;
	char *suite;

	for (suite = strtok(words, " \n"); suite && nr < MAX_SUITES; suite = strtok(NULL, " \n"))
		named[nr++] = suite;
	for (rank = 0; rank <= MAX_RECENT; rank++)
		for (i = 0; i < nr; i++)
			if (recency(named[i]) == rank)
				suites[count++] = named[i];
	return count;
}

static int try_mutant(char *words)
{
	static char *suites[MAX_SUITES];
	unsigned int number = 0, limit = 0;
	int check = 1, used = 0, noticed = 0, i, nr;
	const char *suite;
	char failed[300];
	long start;

	sscanf(words, "%u %u %d%n", &number, &limit, &check, &used);
	nr = order(words + used, suites);
	for (i = 0; i < nr && !noticed; i++) {
		suite = suites[i];
		tell("run %u %s", number, suite);
		start = milliseconds();
		put_number(MUTANT "uses", 0);
		put_number(MUTANT "limit", limit);
		put_number(MUTANT "number", number);
		noticed = run_suite(suite, failed, sizeof(failed));
		put_number(MUTANT "number", 0);
		if (get_number(MUTANT "uses") > limit) {
			snprintf(failed, sizeof(failed), "does not end");
			noticed = 1;
		}
		tell("%s %u %s %ld %s", noticed ? "killed" : "passed", number, suite,
		     milliseconds() - start, noticed ? failed : "");
		if (noticed) {
			remember(suite);
			make_recent(suite);
		}
	}
	if (!noticed)
		tell("survived %u", number);
	return nr_noticed >= check && check_clean();
}

int main(void)
{
	FILE *list = fopen("/mutants.list", "r");
	static char line[65536];
	int wrong = 0;

	open_log();
	while (list && !wrong && fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "survey ", 7))
			survey(line + 7);
		else if (!strncmp(line, "group ", 6))
			memset(recent, 0, sizeof(recent));
		else if (!strncmp(line, "mutant ", 7))
			wrong = try_mutant(line + 7);
	}
	if (!wrong && nr_dirty)
		wrong = check_clean();
	tell("%s", wrong ? "ended dirty" : "ended");
	return wrong;
}
