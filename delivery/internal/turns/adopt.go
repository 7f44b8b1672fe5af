package turns

import "github.com/riverqueue/river/rivertype"

// Adopt does River jobs that release makes for this process, and no other: they are running
// there as soon as they are committed, and are done beside River's workers. release returns
// those that it has made, with its error too. A taker that was not started has release make
// jobs that River fetches, or a run of what is due: process is "" then. One that is stopped
// makes none.
func (t *Taker) Adopt(release func(process string) ([]*rivertype.JobRow, error)) error {
	t.mu.Lock()
	if t.resting {
		t.mu.Unlock()
		return nil
	}
	started := t.started
	t.under.Add(1) // so that Stop waits
	t.mu.Unlock()
	defer t.under.Done()
	if !started {
		_, err := release("")
		return err
	}
	jobs, err := release(t.cfg.Process)
	for _, job := range jobs {
		l, share := t.loads[job.Queue], ShareOf(job)
		l.adopt(share)
		t.do(job, func() { l.release(share) })
	}
	return err
}
