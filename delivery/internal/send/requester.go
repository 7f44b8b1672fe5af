package send

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
	"github.com/riverhook/riverhook/delivery/internal/callbacks"
	"github.com/riverhook/riverhook/delivery/internal/credentials"
	"github.com/riverhook/riverhook/delivery/internal/slots"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/internal/exchange"
)

// maxRereads is how often an attempt begins anew because its subscription has changed
// while it was prepared.
const maxRereads = 3

// ErrOvertaken means that no request was made, because what it was made from has changed
// since that was read.
var ErrOvertaken = errors.New("its subscription was changed meanwhile")

// Requester makes the requests of attempts. It is safe for concurrent use.
type Requester struct {
	Answers         Answers
	Clock           func() time.Time // of the database: what receivers see of the time, and compare with theirs
	Clients         *credentials.Clients
	Headers         attempt.HeaderRecorder
	Loader          *Loader
	MaxRequestBytes int
	MaxTimeout      time.Duration    // of any request, whatever its subscription says
	Now             func() time.Time // for the validity of tokens
	Origin          string           // of each request; "": none is named
	Process         *slots.Process
	ThrottleWait    time.Duration // see attempt.RetryAfter
	Timeout         time.Duration // of a request whose subscription names none
}

// Build has a dialect make the request of an attempt.
func (r *Requester) Build(ctx context.Context, d dialect.Dialect, in *Input, a *attempt.Attempt) (built dialect.Request, err error) {
	refused := in.By.CallLast(ctx, callbacks.StepDialect(in.Dialect), func() {
		built, err = callbacks.Within(context.WithoutCancel(ctx), callbacks.DialectTimeout,
			func(context.Context) (dialect.Request, error) {
				return d.Request(in.Message,
					dialect.Destination{
						URL:     in.Sub.URL,
						Headers: in.headers(),
						Secrets: in.Secrets,
					},
					dialect.Attempt{Number: a.Number, At: r.Clock()})
			})
	})
	if err = cmp.Or(refused, err); err == nil {
		err = callbacks.CheckSize("request", len(built.Body), r.MaxRequestBytes)
	}
	return built, err
}

// Bare is a request without a body, with the headers that the subscription adds.
func (in *Input) Bare(method string) dialect.Request {
	header := http.Header{}
	for name, value := range in.headers() {
		header.Set(name, value)
	}
	header.Set("User-Agent", dialect.DefaultUserAgent)
	return dialect.Request{
		Method: method,
		URL:    in.Sub.URL,
		Header: header,
	}
}

// Once makes one request outside a delivery. It waits for a slot of the process, and then
// sends what prepare returns, which reads the subscription; it calls prepare again if the
// subscription was changed before the request went out. It returns the headers of the
// answer and what was read of its body; what came of the request is in the attempt that
// prepare returned. With an error there was no request.
func (r *Requester) Once(
	ctx context.Context, prepare func() (*Input, dialect.Request, *attempt.Attempt, error),
) (header http.Header, body []byte, err error) {
	leave, ok := r.Process.Acquire(ctx)
	if !ok {
		return nil, nil, context.Cause(ctx)
	}
	defer leave()
	for range maxRereads {
		in, built, a, err := prepare()
		if err != nil {
			return nil, nil, err
		}
		if header, body = r.Send(ctx, in, built, a); !a.Overtaken {
			return header, body, nil
		}
	}
	return nil, nil, ErrOvertaken
}

// Send makes the request and enters in the attempt what came of it. The timeout is for the
// whole of it, the body of the answer included. It returns the headers of the answer, and
// of its body what was read. If it sets a.Overtaken it made no request.
func (r *Requester) Send(ctx context.Context, in *Input, built dialect.Request, a *attempt.Attempt) (header http.Header, body []byte) {
	job := ctx
	a.Method = built.Method
	ctx, cancel := context.WithTimeout(job, r.timeout(in))
	defer cancel()
	var x exchange.Exchange
	resp, err := r.exchange(exchange.With(ctx, &x), in, built, a)
	if errors.Is(err, ErrOvertaken) {
		a.Overtaken = true
		return nil, nil
	}
	a.Repeats = x.Repeats
	if err == nil {
		header = resp.Header
		a.Received(resp)
		var complete bool
		a.ResponseHeaders, complete = r.Headers.Record(header, in.headers())
		body, err = r.Answers.read(resp, in, a)
		a.ResponseTruncated = a.ResponseTruncated || !complete
	}
	a.Duration = time.Since(a.StartedAt)
	if err != nil && job.Err() != nil {
		err = context.Canceled // net/http tells the cause instead, which is any error of River's
	}
	a.Conclude(classify(a.Status, header, err, r.Clock(), r.ThrottleWait))
	a.Unanswered = a.Outcome == attempt.OutcomeUnreachable && x.Unanswered
	r.Answers.conclude(in, a, header, body)
	return header, body
}

// timeout bounds a request, its answer included.
func (r *Requester) timeout(in *Input) time.Duration {
	return min(cmp.Or(in.Sub.Timeout, r.Timeout), r.MaxTimeout)
}

// classify says what an attempt came to: by the status and the headers of the answer (0 and
// nil if none came) and the error of sending, waiting or reading the body.
//
// A status of 2xx is the receiver's word that it has the message: a body that then breaks
// off changes nothing. A 2xx whose body does not end within the attempt's time is a timeout,
// since the timeout is for the answer as a whole. Any other status decides alone, whatever
// happened to its body.
func classify(status int, header http.Header, err error, now time.Time, throttled time.Duration) attempt.Verdict {
	if status == 0 {
		return classifyError(err)
	}
	v := attempt.Classify(status, header, now, throttled)
	if v.Outcome == attempt.OutcomeDelivered && isTimeout(err) {
		v.Outcome = attempt.OutcomeTimeout
		v.Class = attempt.ClassBody
		v.Detail = "the answer's body did not end in time"
	}
	return v
}
