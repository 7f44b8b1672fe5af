// Package turns lets the shares of events take turns. While more River jobs are due than the
// workers of an engine do, a [Taker] takes jobs of the shares that wait, over the whole backlog
// in the database; and an [Admission] chooses by share which of the jobs of a process does its
// work next.
package turns
