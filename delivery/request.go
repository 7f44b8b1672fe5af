package delivery

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"github.com/riverhook/riverhook/dialect"
)

// maxResponseRead bounds what is read of an answer's body. What is behind it is
// left on the connection, which is then closed.
const maxResponseRead = 64 << 10

// request builds, signs and sends one attempt, and works out what follows. It
// returns nil when the engine stopped before the request went out.
func (e *Engine) request(ctx context.Context, t *target) *transition {
	if !t.Opened {
		return nil
	}
	schedule, _ := e.schedule(t)
	d, _ := e.cfg.Dialects.Get(t.Dialect)
	a := &attempt{Number: t.number(), Manual: t.Manual, StartedAt: time.Now(), URL: publicURL(t.Sub.URL)}
	built, err := guarded(func() (dialect.Request, error) {
		return d.Request(t.Message,
			dialect.Destination{URL: t.Sub.URL, Headers: t.Sub.Headers, Secrets: t.Secrets},
			dialect.Attempt{Number: a.Number, At: a.StartedAt})
	})
	if err != nil {
		a.Outcome, a.Error = OutcomeFailed, "dialect: "+brief(err)
		return t.failed(a, schedule, e.random)
	}
	if ctx.Err() != nil {
		return nil
	}
	e.send(ctx, t, built, a)
	if a.Outcome == OutcomeInterrupted && ctx.Err() == nil {
		a.Outcome = OutcomeUnreachable
	}
	if a.Outcome == OutcomeInterrupted && errors.Is(context.Cause(ctx), river.ErrJobCancelledRemotely) {
		tr := t.cancel("its River job was cancelled")
		tr.Attempt = a
		return tr
	}
	return t.after(a, schedule, e.random)
}

// send makes the request and fills in what came of it. The timeout is for the
// whole of it, the answer's body included.
func (e *Engine) send(ctx context.Context, t *target, built dialect.Request, a *attempt) {
	timeout := t.Sub.Timeout
	if timeout == 0 {
		timeout = e.cfg.Timeout
	}
	job := ctx
	ctx, cancel := context.WithTimeout(job, timeout)
	defer cancel()
	resp, err := e.exchange(ctx, t, built, a)
	var header http.Header
	if err == nil {
		header = resp.Header
		a.Status, a.ResponseHeaders = resp.StatusCode, keptHeaders(header, nil)
		err = e.readAnswer(resp, a)
	}
	a.Duration = time.Since(a.StartedAt)
	if err != nil && job.Err() != nil {
		err = context.Canceled // net/http tells the cause instead, which is any error of River's
	}
	v := classify(a.Status, header, err, time.Now())
	a.Outcome, a.Reason, a.RetryAfter = v.Outcome, v.Reason, v.RetryAfter
	if v.Detail != "" {
		a.Error = v.ErrorClass + ": " + v.Detail
	}
}

func (e *Engine) readAnswer(resp *http.Response, a *attempt) error {
	defer resp.Body.Close() //nolint:errcheck // nothing follows from it
	keep := max(e.cfg.ResponseBytes, 0)
	body, err := io.ReadAll(io.LimitReader(resp.Body, max(maxResponseRead, int64(keep)+1)))
	if len(body) > keep {
		body, a.ResponseTruncated = body[:keep:keep], true
	}
	if len(body) > 0 {
		a.ResponseBody = body
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// publicURL is a URL without what may be secret in it.
func publicURL(raw string) string {
	if !strings.ContainsAny(raw, "@?#") {
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.Fragment = nil, ""
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return u.String()
}
