# SPDX-License-Identifier: Apache-2.0
# Runs a script for Vivado or Vitis HLS in tclsh: `tclsh recorder.tcl SCRIPT RECORDS`. Every command of theirs is written
# to RECORDS, one a line, its words between tabs. What they would answer is made up as far as scripts look at it: objects
# are their names, a packaged IP is an empty component.xml. A command that nobody knows is an error, as it is in Vivado.

lassign $argv script records
set recorded [open $records w]

proc record {args} {
    puts $::recorded [join $args \t]
}

# Commands that only do something.
foreach command {
    add_files assign_bd_address connect_bd_intf_net connect_bd_net create_bd_addr_seg create_bd_cell
    create_bd_intf_pin create_bd_pin create_clock delete_bd_objs make_bd_intf_pins_external
    make_bd_pins_external open_project open_run opt_design place_design read_verilog read_xdc
    route_design save_bd_design set_msg_config set_param
    set_property synth_design update_compile_order update_ip_catalog validate_bd_design wait_on_run write_bitstream
    create_bd_design apply_bd_automation
    config_compile config_interface config_rtl csynth_design export_design open_solution set_part set_top
    ipx::add_address_block ipx::add_bus_parameter ipx::add_file ipx::add_file_group ipx::add_memory_map
    ipx::associate_bus_interfaces ipx::create_xgui_files ipx::infer_bus_interface ipx::infer_bus_interfaces
    ipx::remove_all_file ipx::remove_file ipx::remove_file_group ipx::remove_segment ipx::save_core ipx::update_checksums
} {
    namespace eval [namespace qualifiers ::$command] {}
    proc ::$command {args} "record $command {*}\$args; return \[lindex \$args end\]"
}

# Commands that find something: by its name, or, with a filter, nothing.
foreach command {
    current_fileset current_project current_bd_design get_bd_addr_segs get_bd_cells get_bd_intf_nets get_bd_intf_pins
    get_bd_intf_ports get_bd_pins get_bd_ports get_filesets get_files get_param get_ports get_runs
    ipx::current_core ipx::find_open_core ipx::get_address_spaces ipx::get_bus_interfaces ipx::get_bus_parameters
    ipx::get_file_groups ipx::get_files
} {
    namespace eval [namespace qualifiers ::$command] {}
    proc ::$command {args} {
        foreach option {-filter -of -of_objects} {
            if {[lsearch $args $option] >= 0} { return "" }
        }
        return [lindex $args end]
    }
}

# a core's definition: its vlnv, which the pattern begins or the filter names
proc get_ipdefs {args} {
    set pattern [lsearch -inline $args *:*]
    if {$pattern ne ""} { return $pattern }
    return xilinx.com:ip:[lindex $args end end]:*
}

proc get_property {args} {
    switch [lindex $args end-1] {
        CONFIG.ADDR_WIDTH { return 12 }
        default { return [lindex $args end] }
    }
}

proc version {args} { return "recorder" }

# the wrapper of a block design, beside which its scripts expect it
proc make_wrapper {args} {
    record make_wrapper {*}$args
    set design [lindex $args [expr {[lsearch $args -files] + 1}]]
    set name [file rootname [file tail $design]]
    file mkdir [file join [file dirname $design] hdl]
    close [open [file join [file dirname $design] hdl ${name}_wrapper.v] w]
}

# what is written where, as far as FINN looks for it
proc touch {path} {
    file mkdir [file dirname $path]
    close [open $path w]
}

proc create_project {args} {
    record create_project {*}$args
    set words [lsearch -all -inline -not -glob $args -*]
    set ::project [file join [lindex $words 1] [lindex $words 0]]
}

proc close_project {args} {}

proc launch_runs {args} {
    record launch_runs {*}$args
    if {[lsearch $args write_bitstream] >= 0} {
        touch $::project.runs/impl_1/top_wrapper.bit
        touch $::project.gen/sources_1/bd/top/hw_handoff/top.hwh
    }
}

foreach command {report_power report_timing_summary report_utilization} {
    proc $command {args} "
        record $command {*}\$args
        touch \[lindex \$args \[expr {\[lsearch \$args -file\] + 1}\]\]
    "
}

foreach command {write_checkpoint write_verilog write_xdc} {
    proc $command {args} "record $command {*}\$args; touch \[lindex \$args end\]"
}

proc ipx::package_project {args} {
    record ipx::package_project {*}$args
    set root [lindex $args [expr {[lsearch $args -root_dir] + 1}]]
    file delete -force $root
    touch [file join $root component.xml]
    return core
}

# a kernel for v++: what kernelinfo says of it
proc package_xo {args} {
    record package_xo {*}$args
    set ports {}
    foreach {option value} [lrange $args 1 end] {
        switch -- $option {
            -xo_path { set path $value }
            -kernel_name { set name $value }
            -kernel_xml_args { lappend ports "{\"name\": \"[lindex [split $value :] 3]\"}" }
        }
    }
    set kernel [open $path w]
    puts $kernel "{\"kernelDefs\": \[{\"name\": \"$name\", \"ports\": \[[join $ports {, }]\]}\]}"
    close $kernel
}

# tclsh's own help for interactive use would run programs of the system under their names
proc unknown {args} { error "unknown command: [lindex $args 0]" }

if {[catch { source $script } message]} {
    puts stderr "$script: $message"
    puts stderr $::errorInfo
    exit 1
}
close $recorded
