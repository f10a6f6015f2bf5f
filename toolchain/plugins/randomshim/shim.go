// Package shim opens the random provider's constructor, which is internal to its module.
package shim

import (
	"github.com/hashicorp/terraform-plugin-framework/provider"
	upstream "github.com/terraform-providers/terraform-provider-random/internal/provider"
)

// NewProvider is the upstream provider.
func NewProvider() provider.Provider { return upstream.New() }
