/* The only file that knows libcurl.
 * What the other side may do is bounded here: TLS 1.2 or newer with the mounted CA and the server's name checked,
 * no redirect, no proxy, no other scheme, no compression, an answer of at most KT_KUBE_BODY_MAX within a deadline.
 * The environment decides nothing: main clears it before curl and OpenSSL see it. */
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "credentials.h"
#include "kontain/base/own.h"

#define CONNECT_TIMEOUT_MS 5000L
#define REQUEST_TIMEOUT_MS 15000L
#define RETRY_AFTER_MAX_S  300
#define HEAD_BYTES_MAX     (64 * 1024) /* of an answer's header lines: curl keeps them all */
#define COUNTS_KEPT        4           /* "other" and "error" of GET and PATCH */
/* A connection is kept for the few requests of one report; the next one reads the CA again. */
#define CONNECTION_AGE_S 20L

struct kt_kube {
	CURLM *multi;
	CURL *easy; /* NULL without an API server */
	char url[300];
	char credentials[256];
	char user_agent[64];
	struct curl_slist *headers; /* of the request in flight */
	char *request_body;
	char *body;
	size_t size;
	size_t head_size;
	bool too_big;
	bool busy;
	const char *verb;
	char problem[CURL_ERROR_SIZE];
	size_t count_count;
	struct kt_kube_count counts[KT_KUBE_COUNTS];
};

static size_t keep_body(char *bytes, size_t one, size_t size, void *context)
{
	struct kt_kube *kube = context;
	char *grown;

	(void)one;
	if (kube->size + size > KT_KUBE_BODY_MAX) {
		kube->too_big = true;
		return 0; /* ends the transfer */
	}
	grown = realloc(kube->body, kube->size + size + 1);
	if (!grown)
		return 0;
	memcpy(grown + kube->size, bytes, size);
	kube->body = grown;
	kube->size += size;
	kube->body[kube->size] = '\0';
	return size;
}

static size_t count_head(char *bytes, size_t one, size_t size, void *context)
{
	struct kt_kube *kube = context;

	(void)bytes;
	(void)one;
	kube->head_size += size;
	kube->too_big = kube->too_big || kube->head_size > HEAD_BYTES_MAX;
	return kube->too_big ? 0 : size;
}

static CURLcode set_options(struct kt_kube *kube, const struct kt_kube_settings *settings)
{
	CURL *easy = kube->easy;
	CURLcode r = CURLE_OK;
	char ca[300];

	snprintf(ca, sizeof(ca), "%s/ca.crt", settings->credentials);
#define SET(option, value) r = r != CURLE_OK ? r : curl_easy_setopt(easy, option, value)
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_REDIR_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAINFO, ca);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CA_CACHE_TIMEOUT, 0L); /* a new connection reads the file again: CAs rotate */
	SET(CURLOPT_MAXAGE_CONN, CONNECTION_AGE_S);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_HTTP09_ALLOWED, 0L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	SET(CURLOPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_BUFFERSIZE, 16384L);
	SET(CURLOPT_ERRORBUFFER, kube->problem);
	SET(CURLOPT_WRITEFUNCTION, keep_body);
	SET(CURLOPT_WRITEDATA, kube);
	SET(CURLOPT_HEADERFUNCTION, count_head);
	SET(CURLOPT_HEADERDATA, kube);
	SET(CURLOPT_QUICK_EXIT, 1L); /* SIGTERM does not wait for a name server */
	SET(CURLOPT_PRIVATE, kube);
	SET(CURLOPT_USERAGENT, kube->user_agent);
#undef SET
	return r;
}

int kt_kube_open(const struct kt_kube_settings *settings, struct kt_kube **ret_kube, struct kt_error *err)
{
	KT_OWN(kt_kube_close) struct kt_kube *kube = calloc(1, sizeof(*kube));
	bool is_ipv6 = settings->host && strchr(settings->host, ':');
	CURLcode r;

	if (!kube)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "no memory for the API client");
	/* Without an API server curl only polls: TLS need not be set up. */
	r = curl_global_init(settings->host ? CURL_GLOBAL_SSL : CURL_GLOBAL_NOTHING);
	if (r != CURLE_OK)
		return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot start libcurl: %s", curl_easy_strerror(r));
	kube->multi = curl_multi_init();
	if (!kube->multi)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "no memory for the API client");
	curl_multi_setopt(kube->multi, CURLMOPT_MAXCONNECTS, 1L);
	if (settings->host) {
		snprintf(kube->url, sizeof(kube->url), "https://%s%s%s:%s", is_ipv6 ? "[" : "", settings->host,
			 is_ipv6 ? "]" : "", settings->port);
		snprintf(kube->credentials, sizeof(kube->credentials), "%s", settings->credentials);
		snprintf(kube->user_agent, sizeof(kube->user_agent), "%s", settings->user_agent);
		kube->easy = curl_easy_init();
		r = kube->easy ? set_options(kube, settings) : CURLE_OUT_OF_MEMORY;
		if (r != CURLE_OK)
			return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot set up libcurl: %s",
				       curl_easy_strerror(r));
	}
	*ret_kube = kt_take_ptr(&kube);
	return 0;
}

static void forget_reply(struct kt_kube *kube)
{
	free(kube->body);
	kube->body = NULL;
	kube->size = 0;
}

/* The token is in the header list: wiped before it is given back. */
static void forget_request(struct kt_kube *kube)
{
	for (struct curl_slist *line = kube->headers; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data));
	curl_slist_free_all(kube->headers);
	kube->headers = NULL;
	free(kube->request_body);
	kube->request_body = NULL;
}

void kt_kube_close(struct kt_kube **kube)
{
	struct kt_kube *k = *kube;

	*kube = NULL;
	if (!k)
		return;
	if (k->busy)
		curl_multi_remove_handle(k->multi, k->easy);
	if (k->easy)
		curl_easy_cleanup(k->easy);
	if (k->multi)
		curl_multi_cleanup(k->multi);
	forget_request(k);
	forget_reply(k);
	free(k);
	curl_global_cleanup();
}

bool kt_kube_is_busy(const struct kt_kube *kube)
{
	return kube->busy;
}

static bool add_header(struct kt_kube *kube, const char *line)
{
	struct curl_slist *longer = curl_slist_append(kube->headers, line);

	if (longer)
		kube->headers = longer;
	return longer;
}

int kt_kube_start(struct kt_kube *kube, struct kt_kube_request *request, struct kt_error *err)
{
	KT_OWN(kt_credentials_forget) char *authorization = NULL;
	char url[700];
	char content_type[96];
	bool ok;
	int r;

	forget_reply(kube);
	kube->head_size = 0;
	kube->too_big = false;
	kube->problem[0] = '\0';
	kube->verb = request->verb;
	kube->request_body = kt_take_ptr(&request->body);
	r = kt_credentials_header(kube->credentials, &authorization, err);
	if (r < 0) {
		forget_request(kube);
		return r;
	}
	snprintf(url, sizeof(url), "%s%s", kube->url, request->path);
	ok = add_header(kube, authorization) && add_header(kube, "Accept: application/json") &&
	     add_header(kube, "Expect:"); /* curl would wait for "100 Continue" before a long body */
	if (request->content_type) {
		snprintf(content_type, sizeof(content_type), "Content-Type: %s", request->content_type);
		ok = ok && add_header(kube, content_type);
	}
	ok = ok && curl_easy_setopt(kube->easy, CURLOPT_URL, url) == CURLE_OK &&
	     curl_easy_setopt(kube->easy, CURLOPT_HTTPHEADER, kube->headers) == CURLE_OK;
	/* HTTPGET first: it undoes what an earlier PATCH set. */
	ok = ok && curl_easy_setopt(kube->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
	     curl_easy_setopt(kube->easy, CURLOPT_CUSTOMREQUEST, request->verb) == CURLE_OK;
	if (kube->request_body)
		ok = ok && curl_easy_setopt(kube->easy, CURLOPT_POSTFIELDS, kube->request_body) == CURLE_OK &&
		     curl_easy_setopt(kube->easy, CURLOPT_POSTFIELDSIZE, (long)strlen(kube->request_body)) == CURLE_OK;
	ok = ok && curl_multi_add_handle(kube->multi, kube->easy) == CURLM_OK;
	if (!ok) {
		forget_request(kube);
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot set up a request to the API server");
	}
	kube->busy = true;
	return 0;
}

static struct kt_kube_count *find_count(struct kt_kube *kube, const char *code)
{
	for (size_t i = 0; i < kube->count_count; i++)
		if (strcmp(kube->counts[i].verb, kube->verb) == 0 && strcmp(kube->counts[i].code, code) == 0)
			return &kube->counts[i];
	return NULL;
}

static void count(struct kt_kube *kube, long code)
{
	struct kt_kube_count *row;
	char name[8] = "error";

	if (code >= 100 && code <= 599)
		snprintf(name, sizeof(name), "%ld", code);
	else if (code > 0)
		snprintf(name, sizeof(name), "other");
	row = find_count(kube, name);
	/* A server that invents codes must not grow the metrics without end: rows are kept for the rest. */
	if (!row && kube->count_count >= KT_KUBE_COUNTS - COUNTS_KEPT && code > 0) {
		snprintf(name, sizeof(name), "other");
		row = find_count(kube, name);
	}
	if (!row) {
		row = &kube->counts[kube->count_count++];
		row->verb = kube->verb;
		snprintf(row->code, sizeof(row->code), "%s", name);
	}
	row->count++;
}

/* A server may say the token back to us, in an error for one: it must reach neither log nor /readyz. */
static void hide_token(struct kt_kube *kube)
{
	const char *space = kube->headers ? strrchr(kube->headers->data, ' ') : NULL;
	size_t length = space ? strlen(space + 1) : 0;
	char *at = kube->body;

	while (length > 0 && at && (at = memmem(at, kube->size - (size_t)(at - kube->body), space + 1, length)))
		memset(at, '*', length);
}

bool kt_kube_finish(struct kt_kube *kube, struct kt_kube_reply *ret_reply)
{
	struct kt_kube_reply reply = {0};
	CURLMsg *message;
	CURLcode result;
	curl_off_t retry_after = 0;
	int left;

	do {
		message = curl_multi_info_read(kube->multi, &left);
	} while (message && message->msg != CURLMSG_DONE);
	if (!message)
		return false;
	result = message->data.result;
	curl_easy_getinfo(kube->easy, CURLINFO_RESPONSE_CODE, &reply.code);
	curl_easy_getinfo(kube->easy, CURLINFO_RETRY_AFTER, &retry_after);
	curl_multi_remove_handle(kube->multi, kube->easy);
	kube->busy = false;
	hide_token(kube);
	forget_request(kube);
	if (result != CURLE_OK) {
		reply.code = 0;
		if (kube->too_big)
			snprintf(reply.problem, sizeof(reply.problem), "the API server's answer is larger than %d MiB",
				 KT_KUBE_BODY_MAX / 1024 / 1024);
		else
			snprintf(reply.problem, sizeof(reply.problem), "the API server does not answer: %.200s",
				 kube->problem[0] ? kube->problem : curl_easy_strerror(result));
	}
	reply.body = kube->body ? kube->body : "";
	reply.size = kube->size;
	reply.retry_after_s = retry_after < 0                 ? 0 :
			      retry_after > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S :
								(unsigned)retry_after;
	count(kube, reply.code);
	*ret_reply = reply;
	return true;
}

int kt_kube_wait(struct kt_kube *kube, struct pollfd *fds, unsigned fd_count, int timeout_ms, struct kt_error *err)
{
	struct curl_waitfd wait[8] = {0};
	int running;
	CURLMcode r;

	if (fd_count > sizeof(wait) / sizeof(wait[0]))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%u descriptors are too many to wait for", fd_count);
	if (!kube->busy)
		forget_reply(kube);
	r = curl_multi_perform(kube->multi, &running);
	for (unsigned i = 0; i < fd_count; i++)
		wait[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
	/* A request that has just ended is to be taken before anything is waited for. */
	if (r == CURLM_OK)
		r = curl_multi_poll(kube->multi, wait, fd_count, kube->busy && running == 0 ? 0 : timeout_ms, NULL);
	if (r == CURLM_OK)
		r = curl_multi_perform(kube->multi, &running);
	if (r != CURLM_OK)
		return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot wait: %s", curl_multi_strerror(r));
	for (unsigned i = 0; i < fd_count; i++)
		fds[i].revents = wait[i].revents ? POLLIN : 0;
	return 0;
}

size_t kt_kube_counts(const struct kt_kube *kube, const struct kt_kube_count **ret_counts)
{
	*ret_counts = kube->counts;
	return kube->count_count;
}
