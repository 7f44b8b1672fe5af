package send

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/riverhook/riverhook/delivery/internal/attempt"
)

// maxResponseRead bounds what is read of the body of an answer. The rest is left on the
// connection, which is then closed.
const maxResponseRead = 64 << 10

// Retention says what is recorded of the body of an answer.
type Retention struct {
	Bytes int  // the most that is recorded
	Hash  bool // instead its SHA-256 is, of all that is read
}

// Answers reads answers, and takes from them what is recorded.
type Answers struct {
	Bytes        int                              // the most that Retention returns
	Headers      attempt.HeaderRecorder           // also of the headers of requests
	Retention    func(eventType string) Retention // of the answers to events of a type
	Hook         bool                             // a hook gets the answers of delivered events
	ThrottleWait time.Duration                    // see attempt.RetryAfter
}

// most is how much is read of a body.
func (s *Answers) most() int { return max(s.Bytes, maxResponseRead) }

// read reads a bounded part of the body, and enters in the attempt what is recorded of it.
func (s *Answers) read(resp *http.Response, in *Input, a *attempt.Attempt) ([]byte, error) {
	defer resp.Body.Close() //nolint:errcheck // nothing follows from it
	if resp.StatusCode < http.StatusOK {
		// 101 is the only one that net/http hands on. Its body is the connection
		// itself, and a read of that does not end with the request's time.
		return nil, nil
	}
	most := s.most()
	read, err := io.ReadAll(io.LimitReader(resp.Body, int64(most)+1))
	if in.Question && attempt.IsVeto(resp.StatusCode, resp.Header) {
		a.Veto = new(attempt.VetoReason(read))
	}
	body, keep := read, s.Retention(in.Event.Type)
	size := keep.Bytes
	if keep.Hash {
		size = most
	}
	if len(body) > size {
		body, a.ResponseTruncated = body[:size:size], true
	}
	switch {
	case len(body) == 0:
	case keep.Hash:
		sum := sha256.Sum256(body)
		a.ResponseSHA256 = sum[:]
	default:
		a.ResponseBody = body
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return read, err
}

// conclude enters what follows from an answer beside its verdict: that it is a veto, whose
// reason is recorded if bodies of answers are, and the answer for the hook.
func (s *Answers) conclude(in *Input, a *attempt.Attempt, header http.Header, body []byte) {
	if a.Veto != nil {
		keep := s.Retention(in.Event.Type)
		a.Vetoed(keep.Bytes > 0 && !keep.Hash)
	}
	if !s.Hook || a.Outcome != attempt.OutcomeDelivered || !in.HasRow() {
		return
	}
	most := s.most()
	a.Answer = &attempt.Answer{
		ContentType: header.Get("Content-Type"),
		Body:        body[:min(len(body), most)],
		Truncated:   len(body) > most,
	}
}
