/* Edit distance as by Damerau and Levenshtein, of words of a command line. */
#include "near.h"

#include <stddef.h>
#include <string.h>

#define WORD_MAX 32

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t rows[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= a_size; i++)
		for (size_t j = 0; j <= b_size; j++) {
			if (i == 0 || j == 0) {
				rows[i][j] = i + j;
				continue;
			}
			rows[i][j] = least(least(rows[i - 1][j], rows[i][j - 1]) + 1,
					   rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
		}
	return rows[a_size][b_size];
}

bool kt_is_near(const char *typed, const char *word)
{
	size_t typed_size = strlen(typed), size = strlen(word), most = least(2, size / 3);

	return typed_size <= WORD_MAX && size <= WORD_MAX && distance(typed, typed_size, word, size) <= most;
}
