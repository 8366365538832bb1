// SPDX-License-Identifier: GPL-2.0
/* Which mutant lives, which ones have been reached, and the files that say so. */

#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/mutant.h>
#include <linux/string.h>

unsigned int mutant_number;
EXPORT_SYMBOL(mutant_number);
unsigned int mutant_reached[NR_MUTANTS];
EXPORT_SYMBOL(mutant_reached);

/* How often the mutant was asked for, after how often it is to give up. */
static unsigned int mutant_uses;
static unsigned int mutant_limit = UINT_MAX;

/* A mutant that makes a loop endless would keep the machine busy forever. */
bool mutant_lives(void)
{
	return ++mutant_uses <= mutant_limit;
}
EXPORT_SYMBOL(mutant_lives);

/* The one case to run of a KUnit suite; the others are skipped. */
static char mutant_case[128];
module_param_string(case, mutant_case, sizeof(mutant_case), 0600);

bool mutant_runs(const char *name)
{
	return !mutant_case[0] || !strcmp(mutant_case, name);
}
EXPORT_SYMBOL(mutant_runs);

static struct debugfs_blob_wrapper reached = {
	.data = mutant_reached,
	.size = sizeof(mutant_reached),
};

static int __init mutant_init(void)
{
	struct dentry *dir = debugfs_create_dir("mutant", NULL);

	debugfs_create_u32("number", 0600, dir, &mutant_number);
	debugfs_create_u32("uses", 0600, dir, &mutant_uses);
	debugfs_create_u32("limit", 0600, dir, &mutant_limit);
	debugfs_create_blob("reached", 0400, dir, &reached);
	return 0;
}
late_initcall(mutant_init);
