// Command terraform-provider-docker is the provider behind pulumi-docker, as Terraform runs it: the
// same modules, so that both sides of the comparison have the same code to talk to Docker with.
//
// It is compiled as a package of toolchain/plugins, whose go.mod pins them.
package main

import (
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
	"github.com/terraform-providers/terraform-provider-docker/shim"
)

func main() {
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: func() *schema.Provider {
		return shim.NewProvider("5.2.0")
	}})
}
