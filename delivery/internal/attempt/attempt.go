package attempt

import (
	"net/http"
	"strings"
	"time"
)

// Attempt is one request and its answer, as they are recorded. What is secret is removed
// where a field is set: from the URL by [PublicURL], from headers by [HeaderRecorder], both
// in redaction.go, and from the texts of errors in send/classify.go. Bodies are not
// redacted: send/answer.go cuts, hashes or drops them, and RecordAttempts drops those of an
// erased resource.
type Attempt struct {
	Number            int
	Manual            bool
	Outcome           Outcome
	Error             string
	Reason            string  // for the operator alone
	Veto              *string // the words of a gate that vetoed; nil: it did not. Not recorded as such
	Method            string  // "": no request was built
	Status            int
	ReasonPhrase      string // of the status line, fit to be shown
	URL               string // without what may be secret in it
	RequestHeaders    string
	ResponseHeaders   string
	ResponseBody      []byte
	ResponseSHA256    []byte
	ResponseTruncated bool
	RetryAfter        time.Duration
	Asked             time.Duration // how long the endpoint gets nothing; not recorded. See RetryAfter, the function
	Duration          time.Duration
	Repeats           int  // how often it was sent again because it was certainly not processed
	Unanswered        bool // it may have been processed: something was written, and nothing read
	StartedAt         time.Time
	Overtaken         bool // no request was made: what it was made from has changed

	Answer *Answer // for the hook; nil: there is none
}

// Answer is what the hook of a delivered event gets of an answer.
type Answer struct {
	ContentType string
	Body        []byte
	Truncated   bool
}

// New is an attempt that begins now, to a target as it was read.
func New(t *Target, now time.Time) *Attempt {
	return &Attempt{
		Number:    t.Number(),
		Manual:    t.Manual,
		StartedAt: now,
		URL:       PublicURL(t.Sub.URL),
	}
}

// TimedOut makes of an attempt one that got no answer in time.
func (a *Attempt) TimedOut() {
	a.Outcome, a.Error = OutcomeTimeout, ClassTimeout+": no answer in time"
}

// Vetoed makes of an attempt the veto of a gate, with its words where they are shown.
func (a *Attempt) Vetoed(show bool) {
	a.Outcome, a.Error = OutcomeVetoed, ""
	if show {
		a.Error = ClassVetoed + ": " + *a.Veto
	}
}

// maxReasonPhrase bounds, in characters, what the history keeps of a reason phrase.
const maxReasonPhrase = 200

// Received enters the status line of an answer (RFC 9112, section 4). The endpoint makes
// its reason phrase. HTTP/2 has none, and net/http makes one up.
func (a *Attempt) Received(resp *http.Response) {
	a.Status = resp.StatusCode
	if resp.ProtoMajor <= 1 {
		_, phrase, _ := strings.Cut(resp.Status, " ")
		a.ReasonPhrase = ShownLine(phrase, maxReasonPhrase)
	}
}
