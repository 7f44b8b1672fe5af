package main

import (
	"strings"

	"github.com/riverhook/riverhook/delivery/deliverytest"
	"github.com/riverhook/riverhook/dialect"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/subscription"
)

const (
	noaa = hierarchy.Path("/noaa")
	nws  = hierarchy.Path("/noaa/nws")
	oun  = hierarchy.Path("/noaa/nws/oun")
	ama  = hierarchy.Path("/noaa/nws/ama")
)

const (
	president  = "president"
	head       = "department head"
	payroll    = "payroll"
	ounManager = "OUN manager"
	amaManager = "AMA manager"
	contractor = "contractor"
	badgeDesk  = "badge desk"
	archive    = "archive"
)

// role is somebody who subscribes.
type role struct {
	name     string
	site     hierarchy.Path // where the subscription is, and the part of the tree whose people it may see
	events   []string
	dialect  string // "" is the default
	schedule string // "" is the default
	verifier dialect.Verifier

	confidential bool // may see people who are confidential
	operator     bool // belongs to those who run the directory: not asked what it may see
}

func (r role) principal() string { return strings.ReplaceAll(r.name, " ", "-") }

func cast() []role {
	comings := []string{"user.created", "user.deleted"}
	return []role{
		{
			name:         president,
			site:         hierarchy.Root,
			events:       comings,
			confidential: true,
		},
		{
			name:         head,
			site:         noaa,
			events:       comings,
			confidential: true,
		},
		{
			name:         payroll,
			site:         nws,
			events:       comings,
			confidential: true,
			dialect:      "payroll",
			verifier:     payrollVerifier{},
		},
		{
			name:         ounManager,
			site:         oun,
			events:       []string{"user.*"},
			confidential: true,
		},
		{
			name:         amaManager,
			site:         ama,
			events:       []string{"user.*"},
			confidential: true,
		},
		{
			name:   contractor,
			site:   noaa,
			events: comings,
		},
		{
			name:         badgeDesk,
			site:         oun,
			events:       []string{"user.updated"},
			confidential: true,
			schedule:     "quick",
		},
	}
}

// member is a role with its subscription and its receiver.
type member struct {
	role

	receiver *deliverytest.Receiver
	sub      subscription.Subscription
}

func (w *world) member(name string) *member {
	for _, m := range w.members {
		if m.name == name {
			return m
		}
	}
	return nil
}
